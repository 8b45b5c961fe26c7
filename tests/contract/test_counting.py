"""What is promised of states and counts: reported by the leaders, kept by the servers, read by nobody."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker.protocol import Outgoing
from mesh.errors import Unavailable

COMMERCE, CARTS = "COMMERCE_us", "ev.us.cart.updated.*"
DAY = timedelta(days=1)


async def store(broker, *subjects):
    for subject in subjects:
        await broker.store(COMMERCE, Outgoing(subject=f"ev.us.{subject}", body=b"{}"))


async def counted(broker, name="event-count-carts"):
    return {found: state.pending for found, state in (await broker.consumer_states(COMMERCE, [name])).items()}


async def counts(broker, expected, eventually):
    """Whether the counter's number gets there: a server counts a moment after it stored."""
    return await eventually(lambda: _is(broker, expected))


async def _is(broker, expected):
    return await counted(broker) == {"event-count-carts": expected}


async def test_a_stream_reports_what_it_holds_and_who_has_a_copy(broker):
    """Its messages, and at least the one server that answers."""
    await store(broker, "cart.updated.c1", "order.placed.o1")

    state = await broker.stream_state(COMMERCE)

    assert state.messages == 2
    assert list(state.servers.values()) == [True]


async def test_a_durable_reports_what_waits_and_what_is_unanswered(broker, ground, eventually):
    """What was not delivered, what was delivered and not acknowledged, what was redelivered."""
    spec = await ground.durable(stream=COMMERCE, durable="carts-show", filters=(CARTS,), max_ack_pending=2)
    deliveries = await broker.deliveries(spec)
    await store(broker, "cart.updated.c1", "cart.updated.c2", "order.placed.o1", "cart.updated.c3")
    messages = []
    while len(messages) < 2:
        messages += await deliveries.fetch(2, 5.0)

    async def reported_is(*expected):
        state = (await broker.consumer_states(COMMERCE, ["carts-show", "nobody"]))["carts-show"]
        return (state.pending, state.ack_pending, state.redelivered) == expected

    assert await eventually(lambda: reported_is(1, 2, 0))

    await messages[0].nak(timedelta(0))
    await deliveries.fetch(1, 5.0)

    assert await eventually(lambda: reported_is(1, 2, 1))
    await deliveries.close()


async def test_what_does_not_exist_is_left_out(broker):
    """A state that nobody reports is no error: the others count."""
    assert await broker.consumer_states(COMMERCE, ["nobody"]) == {}


async def test_an_event_counter_counts_from_now_on(broker, eventually):
    """What was there before does not count, nor what has another subject."""
    await store(broker, "cart.updated.c1")

    await broker.create_event_counter(COMMERCE, "event-count-carts", CARTS, DAY)
    assert await counts(broker, 0, eventually)
    await store(broker, "cart.updated.c1", "cart.converted.c1", "cart.updated.c2")

    assert await counts(broker, 2, eventually)


async def test_an_event_counter_that_is_created_again_goes_on(broker, eventually):
    """Whoever starts again, or beside another, finds the count that there is."""
    await broker.create_event_counter(COMMERCE, "event-count-carts", CARTS, DAY)
    await store(broker, "cart.updated.c1")

    await broker.create_event_counter(COMMERCE, "event-count-carts", CARTS, DAY)

    assert await counts(broker, 1, eventually)


async def test_an_event_counter_can_be_deleted(broker, eventually):
    """And begun anew; ending what is not there is harmless."""
    await broker.delete_event_counter(COMMERCE, "event-count-carts")
    await broker.create_event_counter(COMMERCE, "event-count-carts", CARTS, DAY)
    await store(broker, "cart.updated.c1")

    await broker.delete_event_counter(COMMERCE, "event-count-carts")

    assert await counted(broker) == {}
    await broker.create_event_counter(COMMERCE, "event-count-carts", CARTS, DAY)
    assert await counts(broker, 0, eventually)


async def test_an_event_counter_ends_by_itself(broker, eventually):
    """Nothing stays on the servers of whoever never comes back."""
    await broker.create_event_counter(COMMERCE, "event-count-carts", CARTS, timedelta(milliseconds=200))

    async def gone():
        return await counted(broker) == {}

    assert await eventually(gone)


async def test_what_was_stored_since_a_time_is_counted(broker):
    """Under the pattern, from that time on."""
    await store(broker, "cart.updated.c1", "order.placed.o1")
    between = (await broker.last(COMMERCE, "ev.us.order.placed.o1")).stored
    await store(broker, "cart.updated.c2", "cart.updated.c1")

    assert await broker.count(COMMERCE, CARTS, between) == 2
    assert await broker.count(COMMERCE, CARTS, between - timedelta(hours=1)) == 3
    assert await broker.count(COMMERCE, CARTS, datetime.now(UTC) + timedelta(hours=1)) == 0


async def test_a_stream_that_does_not_exist_is_unavailable(broker):
    """The streams are made by apply; until then nothing is reported or counted."""
    with pytest.raises(Unavailable):
        await broker.stream_state("COMMERCE_eu")
    with pytest.raises(Unavailable):
        await broker.count("COMMERCE_eu", CARTS, datetime.now(UTC))
    with pytest.raises(Unavailable):
        await broker.create_event_counter("COMMERCE_eu", "event-count-carts", CARTS, DAY)
