"""What reading promises."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker import messages
from mesh.broker.protocol import Expect, Outgoing
from mesh.errors import Unavailable
from tests.contract.conftest import InMemory

COMMERCE_US = "COMMERCE_us"


@pytest.fixture
async def filled(broker):
    """Two carts and an order: updated c1, placed o1, updated c2, converted c1."""
    for subject in ("cart.updated.c1", "order.placed.o1", "cart.updated.c2", "cart.converted.c1"):
        await broker.store(COMMERCE_US, Outgoing(subject=f"ev.us.{subject}", body=subject.encode(), id=subject))
    return broker


async def test_the_last_of_an_exact_subject(filled):
    """`last` finds the newest message with its place and an aware UTC time."""
    message = await filled.last(COMMERCE_US, "ev.us.cart.updated.c1")

    assert (message.subject, message.body, message.sequence) == ("ev.us.cart.updated.c1", b"cart.updated.c1", 1)
    assert message.stored.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - message.stored) < timedelta(seconds=30)
    assert message.attempt == 0


@pytest.mark.parametrize(
    ("pattern", "newest"),
    [("ev.us.cart.*.c1", 4), ("ev.us.cart.updated.*", 3), ("ev.us.order.>", 2), (">", 4), ("ev.*.*.placed.*", 2)],
)
async def test_the_last_of_a_pattern(filled, pattern, newest):
    """`last` takes patterns."""
    assert (await filled.last(COMMERCE_US, pattern)).sequence == newest


async def test_the_last_of_nothing_is_none(filled):
    """Nothing stored there: None."""
    assert await filled.last(COMMERCE_US, "ev.us.cart.updated.c9") is None
    assert await filled.last("DEAD_us", ">") is None


async def test_a_long_story_is_read_in_parts(ground, broker, monkeypatch):
    """All of it arrives in order, and a server never has more of it under way than it keeps for a slow reader."""
    read_part, parts = messages.Messages._read_part, []

    async def counted(self, stream, asked, found):
        parts.append(asked)
        return await read_part(self, stream, asked, found)

    monkeypatch.setattr(messages, "READ_BYTES", 30_000)
    monkeypatch.setattr(messages.Messages, "_read_part", counted)
    for number in range(20):
        at = Outgoing(subject="ev.us.cart.updated.c1", body=b"x" * 10_000, id=f"e{number}")
        await broker.store(COMMERCE_US, at)

    found = [message.sequence async for message in broker.read(COMMERCE_US, ["ev.us.cart.updated.c1"])]

    assert found == list(range(1, 21))
    assert isinstance(ground, InMemory) or len(parts) > 5


async def test_few_subjects_are_read_whole_and_in_order(filled):
    """All of a key's kinds, each with everything that stands before its newest, and nothing of other keys."""
    for number in range(3):
        for subject in ("cart.updated.c1", "cart.updated.c2", "offer.decided.c1"):
            at = f"{subject}.{number}"
            await filled.store(COMMERCE_US, Outgoing(subject=f"ev.us.{subject}", body=at.encode(), id=at))

    both = await filled.read_few(COMMERCE_US, ["ev.us.cart.*.c1", "ev.us.offer.*.c1"])
    one = await filled.read_few(COMMERCE_US, ["ev.us.cart.updated.c1", "ev.us.cart.closed.c1"])

    assert [message.sequence for message in both] == [1, 4, 5, 7, 8, 10, 11, 13]
    assert (both[-1].body, both[-1].attempt) == (b"offer.decided.c1.2", 0)
    assert [message.sequence for message in one] == [1, 5, 8, 11]
    assert await filled.read_few(COMMERCE_US, ["ev.us.cart.*.c9"]) == []


async def test_what_was_stored_as_the_first_of_its_subject_is_not_looked_behind(ground, broker, monkeypatch):
    """The condition stands in the message; whatever came after it, and other subjects, are read whole as ever."""
    read_part, parts = messages.Messages._read_part, []

    async def counted(self, stream, asked, found):
        parts.append(asked)
        return await read_part(self, stream, asked, found)

    monkeypatch.setattr(messages.Messages, "_read_part", counted)
    created, confirmed, placed = (f"ev.us.order.{action}.o1" for action in ("created", "confirmed", "placed"))

    async def first(subject, of=None):
        condition = Expect(subject=of or subject, sequence=0)
        await broker.store(COMMERCE_US, Outgoing(subject=subject, body=b"x", expect=condition))

    await first(created)
    await broker.store_batch(
        COMMERCE_US,
        [
            Outgoing(subject=confirmed, body=b"x", expect=Expect(subject=confirmed, sequence=0)),
            Outgoing(subject="ev.us.cart.updated.c1", body=b"x"),
        ],
    )
    assert [one.sequence for one in await broker.read_few(COMMERCE_US, [created, confirmed])] == [1, 2]
    assert isinstance(ground, InMemory) or len(parts) == 1

    await broker.store(COMMERCE_US, Outgoing(subject=created, body=b"x"))
    await broker.store(COMMERCE_US, Outgoing(subject=placed, body=b"x"))
    await first(placed, of="ev.us.order.refunded.o1")
    assert [one.sequence for one in await broker.read_few(COMMERCE_US, [created, confirmed, placed])] == [1, 2, 4, 5, 6]


async def test_the_newest_of_each_subject(filled):
    """One request finds the newest of many subjects, and nothing of those that have none."""
    await filled.store(COMMERCE_US, Outgoing(subject="ev.us.cart.updated.c1", body=b"again", id="again"))
    wanted = [f"ev.us.cart.updated.c{number}" for number in range(500)] + ["ev.us.order.placed.o1"]

    found = await filled.last_of_each(COMMERCE_US, wanted)

    assert sorted(message.sequence for message in found) == [2, 3, 5]
    assert {message.body for message in found} == {b"again", b"cart.updated.c2", b"order.placed.o1"}
    assert await filled.last_of_each(COMMERCE_US, ["ev.us.cart.updated.c9"]) == []


async def test_a_message_by_its_sequence(filled):
    """`get` finds one message by its place; None where there is none."""
    assert (await filled.get(COMMERCE_US, 2)).subject == "ev.us.order.placed.o1"
    assert await filled.get(COMMERCE_US, 9) is None


async def test_a_read_message_cannot_be_answered(filled):
    """Only delivered messages can be acknowledged."""
    message = await filled.get(COMMERCE_US, 1)

    with pytest.raises(RuntimeError, match="read, not delivered"):
        await message.ack()


@pytest.mark.parametrize(
    ("patterns", "after", "places"),
    [
        (["ev.us.cart.*.c1"], 0, [1, 4]),
        (["ev.us.cart.*.c1", "ev.us.order.*.o1"], 0, [1, 2, 4]),
        ([">"], 2, [3, 4]),
        (["ev.us.cart.updated.*"], 1, [3]),
        (["ev.us.stock.>"], 0, []),
        ([">"], 4, []),
    ],
)
async def test_reading_is_in_order_and_from_behind_a_place(filled, patterns, after, places):
    """`read` gives everything under any of the patterns, oldest first, behind `after`."""
    assert [m.sequence async for m in filled.read(COMMERCE_US, patterns, after=after)] == places


async def test_reading_a_long_stream(broker):
    """More than one request's worth comes complete and in order."""
    for part in range(3):
        batch = [Outgoing(subject=f"ev.us.cart.updated.c{at % 7}", body=b"") for at in range(1000)]
        assert (await broker.store_batch(COMMERCE_US, batch)).sequence == 1000 * (part + 1)

    read = [m.sequence async for m in broker.read(COMMERCE_US, [">"])]

    assert read == list(range(1, 3001))


async def test_overlapping_patterns_are_the_callers_business_but_order_holds(broker):
    """Patterns that do not overlap merge into one order."""
    for at in range(20):
        await broker.store(
            COMMERCE_US, Outgoing(subject=f"ev.us.cart.{'updated' if at % 3 else 'closed'}.c1", body=b"")
        )

    both = [m.sequence async for m in broker.read(COMMERCE_US, ["ev.us.cart.updated.*", "ev.us.cart.closed.*"])]

    assert both == list(range(1, 21))


async def test_an_absent_stream_is_unavailable(broker):
    """Another region's stream, or one that was never made, cannot be read."""
    with pytest.raises(Unavailable):
        await broker.last("COMMERCE_eu", ">")
    with pytest.raises(Unavailable):
        await broker.get("COMMERCE_eu", 1)
    with pytest.raises(Unavailable):
        _ = [m async for m in broker.read("COMMERCE_eu", [">"])]
    with pytest.raises(Unavailable):
        await broker.follow("COMMERCE_eu", (">",), None)


async def test_what_was_stored_since_a_time_is_read(broker):
    """From the first that is not older, under several patterns, and in parts as well."""
    for number in range(3):
        await broker.store(COMMERCE_US, Outgoing(subject=f"ev.us.cart.updated.c{number}", body=b"", id=f"a{number}"))
    middle = await broker.last(COMMERCE_US, "ev.us.cart.updated.c1")
    await broker.store(COMMERCE_US, Outgoing(subject="ev.us.order.placed.o1", body=b"", id="o"))
    patterns = ["ev.us.cart.updated.*", "ev.us.order.placed.*"]

    found = [one.sequence async for one in broker.read(COMMERCE_US, patterns, since=middle.stored)]
    later = datetime.now(UTC) + timedelta(seconds=60)
    none = [one async for one in broker.read(COMMERCE_US, patterns, since=later)]

    assert found == [2, 3, 4]
    assert none == []
