"""What a store promises."""

from datetime import timedelta

import pytest

from mesh.broker.protocol import Expect, Outgoing, Stored
from mesh.errors import Conflict, DeclarationError, Denied, Duplicate, Unavailable

COMMERCE_US = "COMMERCE_us"


def updated(key="c1", body=b"{}", **options):
    return Outgoing(subject=f"ev.us.cart.updated.{key}", body=body, **options)


def expecting(sequence, key="c1"):
    return Expect(subject=f"ev.us.cart.updated.{key}", sequence=sequence)


async def bodies(broker, stream=COMMERCE_US):
    return [message.body async for message in broker.read(stream, [">"])]


async def test_sequences_count_per_stream(broker):
    """Each stream counts its own messages from one."""
    interaction = Outgoing(subject="ev.us.interaction.product_viewed.v1", body=b"")

    one, two = await broker.store(COMMERCE_US, updated()), await broker.store(COMMERCE_US, updated("c2"))
    other = await broker.store("INTERACTIONS_us", interaction)

    assert (one.sequence, two.sequence, other.sequence) == (1, 2, 1)
    assert [stored.duplicate for stored in (one, two, other)] == [False] * 3


async def test_the_same_id_is_stored_once(broker):
    """A second store of an id changes nothing and answers with the first one's place."""
    first = await broker.store(COMMERCE_US, updated(id="a", body=b"first"))

    second = await broker.store(COMMERCE_US, updated(id="a", body=b"second"))

    assert second.duplicate
    assert second.sequence == first.sequence
    assert await bodies(broker) == [b"first"]


async def test_a_retried_conditional_store_is_never_stored_twice(broker):
    """A retry whose own first attempt broke its condition is refused or a duplicate; `commit` finds out which."""
    await broker.store(COMMERCE_US, updated(id="a", expect=expecting(0)))

    try:
        retried = (await broker.store(COMMERCE_US, updated(id="a", expect=expecting(0)))).duplicate
    except Conflict:
        retried = True

    assert retried
    assert len(await bodies(broker)) == 1


async def test_an_id_counts_per_stream(broker):
    """The same id in two streams is two messages."""
    await broker.store(COMMERCE_US, updated(id="a"))

    other = await broker.store("DEAD_us", Outgoing(subject="dead.us.carts.x", body=b"", id="a"))

    assert not other.duplicate


async def test_a_true_condition_lets_through(broker):
    """A store that expects the newest sequence of its subject is taken."""
    first = await broker.store(COMMERCE_US, updated(expect=expecting(0)))

    second = await broker.store(COMMERCE_US, updated(expect=expecting(first.sequence)))

    assert second.sequence == 2


async def test_a_false_condition_is_a_conflict(broker):
    """A store that expects what is no longer so stores nothing."""
    await broker.store(COMMERCE_US, updated(body=b"newer"))

    with pytest.raises(Conflict):
        await broker.store(COMMERCE_US, updated(expect=expecting(0)))
    with pytest.raises(Conflict):
        await broker.store(COMMERCE_US, updated(expect=expecting(7)))

    assert await bodies(broker) == [b"newer"]


async def test_a_condition_may_be_on_another_subject(broker):
    """A cart's event can be conditional on its order's."""
    order = Expect(subject="ev.us.order.placed.o1", sequence=0)
    await broker.store(COMMERCE_US, updated(expect=order))
    await broker.store(COMMERCE_US, Outgoing(subject="ev.us.order.placed.o1", body=b""))

    with pytest.raises(Conflict):
        await broker.store(COMMERCE_US, updated(expect=order))


@pytest.mark.parametrize("pattern", ["ev.us.cart.*.c1", "ev.us.cart.>"])
async def test_a_condition_on_a_pattern_is_refused(broker, pattern):
    """Conditions are on one exact subject, alone and in batches (decisions/0002)."""
    message = updated(expect=Expect(subject=pattern, sequence=0))

    with pytest.raises(ValueError, match="exact"):
        await broker.store(COMMERCE_US, message)
    with pytest.raises(ValueError, match="exact"):
        await broker.store_batch(COMMERCE_US, [message, updated("c2")])

    assert await bodies(broker) == []


async def test_a_subject_of_no_stream_is_unavailable(broker):
    """What no stream takes is refused loudly."""
    with pytest.raises(Unavailable):
        await broker.store(COMMERCE_US, Outgoing(subject="nonsense.us.cart.updated.c1", body=b""))


async def test_another_regions_subject_is_unavailable(broker):
    """Nobody writes into another region."""
    with pytest.raises(Unavailable):
        await broker.store("COMMERCE_eu", Outgoing(subject="ev.eu.cart.updated.c1", body=b""))
    with pytest.raises(Unavailable):
        await broker.store_batch("COMMERCE_eu", [Outgoing(subject=f"ev.eu.cart.updated.{k}", body=b"") for k in "ab"])


async def test_a_forbidden_subject_is_denied(ground, broker):
    """A user without the permission gets Denied, and nothing is stored."""
    carts = await ground.connect_carts()

    with pytest.raises(Denied, match=r"ev\.us\.order\.placed\.o1"):
        await carts.store(COMMERCE_US, Outgoing(subject="ev.us.order.placed.o1", body=b""))

    allowed = await carts.store(COMMERCE_US, updated())
    assert allowed.sequence == 1


async def test_a_batch_is_stored_whole_and_in_order(broker):
    """The answer to a batch is the place of its last message."""
    await broker.store(COMMERCE_US, updated("c0", body=b"before"))

    stored = await broker.store_batch(
        COMMERCE_US, [updated("c1", body=b"1"), updated("c2", body=b"2"), updated("c3", body=b"3")]
    )

    assert stored.sequence == 4
    assert await bodies(broker) == [b"before", b"1", b"2", b"3"]


async def test_one_false_condition_refuses_the_whole_batch(broker):
    """Wherever the false condition stands, nothing of the batch is stored."""
    await broker.store(COMMERCE_US, updated("c2", body=b"before"))

    with pytest.raises(Conflict):
        await broker.store_batch(COMMERCE_US, [updated("c1"), updated("c2", expect=expecting(0, "c2")), updated("c3")])

    assert await bodies(broker) == [b"before"]


async def test_conditions_of_a_batch_are_on_the_state_before_it(broker):
    """Several messages of one subject in a batch: the first one carries the condition on what was before."""
    await broker.store(COMMERCE_US, updated())

    stored = await broker.store_batch(
        COMMERCE_US, [updated(expect=expecting(1)), updated(), updated("c2", expect=expecting(0, "c2"))]
    )

    assert stored.sequence == 4


async def test_a_condition_behind_its_subject_in_a_batch_is_a_conflict(broker):
    """A condition on a subject that the same batch already changed is refused."""
    with pytest.raises(Conflict):
        await broker.store_batch(COMMERCE_US, [updated(), updated(expect=expecting(0))])

    assert await bodies(broker) == []


async def test_a_condition_may_stand_before_its_subject_in_a_batch(broker):
    """A condition carried by another message holds for a later message of the batch."""
    stored = await broker.store_batch(COMMERCE_US, [updated("c2", expect=expecting(0)), updated()])

    assert stored.sequence == 2


async def test_a_seen_id_refuses_the_whole_batch(broker):
    """A batch with an id that was stored before stores nothing and says Duplicate."""
    await broker.store(COMMERCE_US, updated("c1", id="a", body=b"before"))

    with pytest.raises(Duplicate):
        await broker.store_batch(COMMERCE_US, [updated("c2", id="b"), updated("c1", id="a")])

    assert await bodies(broker) == [b"before"]
    assert not (await broker.store(COMMERCE_US, updated("c2", id="b"))).duplicate


async def test_a_batch_stored_twice_is_a_duplicate(broker):
    """A retried batch whose answer was lost is Duplicate, not Conflict."""
    batch = [updated("c1", id="a", expect=expecting(0)), updated("c2", id="b")]
    await broker.store_batch(COMMERCE_US, batch)

    with pytest.raises(Duplicate):
        await broker.store_batch(COMMERCE_US, batch)


async def test_an_id_twice_in_one_batch_is_a_duplicate(broker):
    """A batch that repeats an id within itself is refused."""
    with pytest.raises(Duplicate):
        await broker.store_batch(COMMERCE_US, [updated("c1", id="a"), updated("c2", id="a")])


async def test_an_id_of_a_batch_is_seen_by_a_single_store(broker):
    """Batches and single stores share the ids."""
    await broker.store_batch(COMMERCE_US, [updated("c1", id="a"), updated("c2", id="b")])

    assert (await broker.store(COMMERCE_US, updated("c1", id="a"))).duplicate


async def test_a_thousand_fit_in_a_batch_and_no_more(broker):
    """1,000 messages are one commit; 1,001 are refused whole, and no retry could mend it."""
    thousand = [updated(f"c{at}") for at in range(1000)]

    assert (await broker.store_batch(COMMERCE_US, thousand)).sequence == 1000
    with pytest.raises(DeclarationError):
        await broker.store_batch(COMMERCE_US, [*thousand, updated("one-more")])

    assert (await broker.last(COMMERCE_US, ">")).sequence == 1000


async def test_a_message_with_a_ttl_disappears(broker, eventually):
    """After its time it is gone, and its subject counts as empty again."""
    await broker.store(COMMERCE_US, updated(ttl=timedelta(seconds=1)))
    assert await broker.last(COMMERCE_US, "ev.us.cart.updated.c1") is not None

    async def gone():
        return await broker.last(COMMERCE_US, "ev.us.cart.updated.c1") is None

    await eventually(gone)
    await broker.store(COMMERCE_US, updated(expect=expecting(0)))


async def test_a_removed_message_is_gone_and_the_others_stay(broker):
    """By its number; once more, or of a number that never was, changes nothing."""
    for cart in ("c1", "c2"):
        await broker.store("COMMERCE_us", Outgoing(subject=f"ev.us.cart.updated.{cart}", body=b"{}"))

    for number in (1, 1, 77):
        await broker.remove("COMMERCE_us", number)

    assert await broker.get("COMMERCE_us", 1) is None
    assert [one.sequence async for one in broker.read("COMMERCE_us", ["ev.us.cart.>"])] == [2]


async def test_headers_and_bodies_arrive_as_they_were(broker):
    """Bytes of any kind and headers of one's own come back unchanged."""
    body = bytes(range(256))

    await broker.store(COMMERCE_US, updated(body=body, headers={"Reason": "a b: c"}))
    kept = await broker.last(COMMERCE_US, "ev.us.cart.updated.c1")

    assert kept.body == body
    assert kept.headers["Reason"] == "a b: c"


async def test_the_copy_has_other_regions_events_and_nothing_personal(ground, broker, eventually):
    """MESH copies other regions' `ev` subjects; timers, carriers and the region's own stay away."""
    abroad = await ground.connect_abroad()
    await broker.store(COMMERCE_US, updated())
    for subject in ("carrier.eu.commerce.w", "ev.eu.cart.updated.c1"):
        await abroad.store("COMMERCE_eu", Outgoing(subject=subject, body=b""))

    copied = await eventually(lambda: broker.last("MESH_us", ">"))

    assert (copied.subject, copied.sequence) == ("ev.eu.cart.updated.c1", 1)
    assert [m.subject async for m in broker.read("MESH_us", [">"])] == ["ev.eu.cart.updated.c1"]


async def test_each_message_is_stored_for_itself(broker):
    """Of messages stored side by side one that conflicts takes none of the others with it."""
    await broker.store("COMMERCE_us", Outgoing(subject="ev.us.cart.updated.each", body=b"{}", id="each-0"))
    late = Expect(subject="ev.us.cart.updated.each", sequence=0)

    outcomes = await broker.store_each(
        "COMMERCE_us",
        [
            Outgoing(subject="ev.us.cart.updated.each", body=b"{}", id="each-0"),
            Outgoing(subject="ev.us.cart.updated.each", body=b"{}", id="each-1", expect=late),
            Outgoing(subject="ev.us.cart.updated.each", body=b"{}", id="each-2"),
        ],
    )

    assert [type(one).__name__ for one in outcomes] == ["Stored", "Conflict", "Stored"]
    assert [one.duplicate for one in outcomes if isinstance(one, Stored)] == [True, False]
