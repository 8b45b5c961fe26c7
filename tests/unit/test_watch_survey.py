"""A region measures itself by what its streams tell: every figure is theirs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.broker.protocol import Outgoing
from mesh.errors import Unavailable
from mesh.events.cart import CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import ConsumerLag, EventCount, MeshHeartbeat
from mesh.observability.event_counts import event_counters
from mesh.observability.metrics import ACK_PENDING, DEAD, LAG, NODES, NODES_UP, OUTDATED, STALENESS
from mesh.streams import ConsumerSpec
from services.operations.watch import measure_region
from services.operations.watch.event_counts import LOST_AFTER, EventCounts
from services.operations.watch.gauges import show
from services.operations.watch.survey import Survey

SHOW = ConsumerSpec(stream="COMMERCE_us", durable="carts-show", filters=("ev.us.cart.updated.*",))
TICK = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Time:
    def __init__(self):
        self.now = datetime.now(UTC)

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A busy machine takes longer for an answer than a measurement waits."""
    monkeypatch.setattr("services.operations.watch.survey.ANSWERED_WITHIN", 60.0)


@pytest.fixture
async def survey(mesh):
    await mesh.broker.deliveries(SHOW)
    survey = Survey(mesh, [SHOW], lags_every=0)
    yield survey
    survey.close()


def update(number):
    return CartUpdated(cart_id=f"c{number}", visitor_id="v", lines=())


def flow(measured, type_):
    return next(flow for flow in measured.event_counts if flow.type == type_)


async def test_a_region_at_rest_measures_nothing_but_itself(mesh, survey):
    """Every type that is kept has its count, and every durable its lag."""
    measured = await survey.measured(TICK)

    assert (measured.region, measured.at, measured.nodes, measured.nodes_up) == ("us", TICK, 1, 1)
    assert measured.consumers == (
        ConsumerLag(stream="COMMERCE_us", durable="carts-show", pending=0, ack_pending=0, redelivered=0),
    )
    assert measured.staleness == {"eu": None}
    assert measured.dead_letters == 0
    assert (await survey.measured(TICK)).event_counts == tuple(
        EventCount(type=counter.type, total=0, last_hour=0) for counter in event_counters("us")
    )


async def test_a_durable_that_somebody_changed_is_marked(mesh):
    """Its leader reports other filters than its service declares: the measurement and the gauge say so."""
    await mesh.broker.deliveries(replace(SHOW, filters=("ev.us.nothing.>",)))
    survey = Survey(mesh, [SHOW])

    measured = await survey.measured(TICK)
    show(measured)

    assert [lag.outdated for lag in measured.consumers] == [True]
    assert OUTDATED.labels("COMMERCE_us", "carts-show")._value.get() == 1
    survey.close()


async def test_what_streams_take_is_counted_by_type(mesh, survey):
    """From the first measurement on; the hour also knows what was there before."""
    await mesh.publish(update(1), update(2))
    await survey.measured(TICK)
    await survey.measured(TICK)

    await mesh.publish(update(3), ProductViewed(visitor_id="v", product_id="p"))
    measured = await survey.measured(TICK)

    assert flow(measured, "cart.updated") == EventCount(type="cart.updated", total=1, last_hour=3)
    assert flow(measured, "interaction.product_viewed").total == 1
    assert {lag.durable: lag.pending for lag in measured.consumers} == {"carts-show": 3}


async def test_dead_letters_and_staleness_are_measured(regions, mesh, survey):
    """A backlog of dead letters, another region's newest word: as they are read here."""
    await mesh.broker.store("DEAD_us", Outgoing(subject="dead.us.carts.carts-show", body=b"{}"))
    now = datetime.now(UTC)
    await Mesh(regions.broker("eu"), "heartbeat").publish(MeshHeartbeat(region="eu", at=now - timedelta(seconds=7)))

    measured = await survey.measured(TICK)

    assert measured.dead_letters == 1
    assert 7 <= measured.staleness["eu"] < 60


async def test_a_restart_finds_the_same_counts(mesh):
    """Two replicas, or one after the other, tell the same totals and the same hour."""
    first = EventCounts(mesh.broker, event_counters("us"))
    await first.read()
    await first.read()
    await mesh.publish(update(1), update(2))

    second = EventCounts(mesh.broker, event_counters("us"))

    assert await second.read() == await first.read()
    assert {one.type: (one.total, one.last_hour) for one in await second.read()}["cart.updated"] == (2, 2)


async def test_a_count_that_was_lost_begins_again(mesh):
    """Its server is gone: after a while another count begins lower, and the hour is asked of the stream."""
    event_counts = EventCounts(mesh.broker, event_counters("us"))
    carts = next(counter for counter in event_counters("us") if counter.type == "cart.updated")

    async def carted():
        return next((one.total, one.last_hour) for one in await event_counts.read() if one.type == "cart.updated")

    await event_counts.read()
    await mesh.publish(update(1), update(2))
    assert await carted() == (2, 2)

    await mesh.broker.delete_event_counter(carts.stream, carts.name)
    event_counts._asked.clear()  # as after ASKED_EVERY
    assert await carted() == (2, 2), "silence is no news"
    event_counts._absent[carts.name] -= LOST_AFTER
    assert await carted() == (2, 2)

    await mesh.publish(update(3))
    assert await carted() == (1, 3)


async def test_of_a_stream_that_took_nothing_no_count_is_asked(mesh, monkeypatch):
    """There are a hundred counts and most streams are quiet; what was counted is still known."""
    event_counts, asked = EventCounts(mesh.broker, event_counters("us")), []
    await event_counts.read()
    await event_counts.read()
    await mesh.publish(update(1))
    before = await event_counts.read()
    states = mesh.broker.consumer_states

    async def noted(stream, names):
        asked.append(stream)
        return await states(stream, names)

    monkeypatch.setattr(mesh.broker, "consumer_states", noted)

    assert await event_counts.read() == before
    assert asked == []

    await mesh.publish(ProductViewed(visitor_id="v", product_id="p"))
    counts = {one.type: one.total for one in await event_counts.read()}

    assert asked == ["INTERACTIONS_us"]
    assert (counts["cart.updated"], counts["interaction.product_viewed"]) == (1, 1)


async def test_an_hour_ends():
    """What was stored more than an hour before a count began does not belong to it."""
    time = Time()
    broker = MemoryMesh("us", clock=time).broker()
    publisher = Mesh(broker, "tests")
    time.now -= timedelta(minutes=61)
    await publisher.publish(update(1))
    time.now += timedelta(minutes=31)
    await publisher.publish(update(2), update(3))
    time.now += timedelta(minutes=30)

    event_counts = EventCounts(broker, event_counters("us"))
    await event_counts.read()
    counts = {counts.type: (counts.total, counts.last_hour) for counts in await event_counts.read()}

    assert counts["cart.updated"] == (0, 2)


async def test_a_region_that_does_not_answer_is_not_up(regions, mesh, survey):
    """What was known of it fades within seconds; nothing is made up."""
    await survey.measured(TICK)
    regions.stop("us")
    for part in (survey._streams, survey._lags, survey._event_counts, survey._staleness):
        part._at -= 10

    measured = await survey.measured(TICK)

    assert (measured.nodes, measured.nodes_up, measured.consumers, measured.event_counts) == (1, 0, (), ())
    assert measured.staleness == {"eu": None}


async def test_every_measurement_is_published_and_shown(mesh, survey):
    """One event a tick, and the same figures at /metrics."""
    await mesh.publish(update(1))

    [measured] = [said async for said in measure_region(TICK, survey)]

    assert LAG.labels("COMMERCE_us", "carts-show")._value.get() == measured.consumers[0].pending == 1
    assert ACK_PENDING.labels("COMMERCE_us", "carts-show")._value.get() == 0
    assert (NODES.labels("us")._value.get(), NODES_UP.labels("us")._value.get()) == (1, 1)
    assert DEAD.labels("us")._value.get() == 0
    assert STALENESS.labels("eu")._value.get() == float("inf")


async def test_what_is_not_known_has_no_figure(mesh, survey):
    """An old lag must neither raise an alarm nor keep one quiet."""
    [measured] = [said async for said in measure_region(TICK, survey)]

    show(
        type(measured)(
            region="us", at=TICK, nodes=1, nodes_up=0, event_counts=(), consumers=(), staleness={}, dead_letters=0
        )
    )

    assert LAG.collect()[0].samples == []


async def test_a_stream_without_a_leader_hides_no_other(mesh, monkeypatch):
    """Its counts stand where they stood; the others go on."""
    event_counts, count = EventCounts(mesh.broker, event_counters("us")), mesh.broker.count

    async def half(stream, subject, since):
        if stream == "INTERACTIONS_us":
            raise Unavailable("INTERACTIONS_us has no leader just now")
        return await count(stream, subject, since)

    monkeypatch.setattr(mesh.broker, "count", half)
    await event_counts.read()
    await mesh.publish(update(1), ProductViewed(visitor_id="v", product_id="p"))

    counts = {counts.type: counts.total for counts in await event_counts.read()}
    assert counts["cart.updated"] == 1
    assert "interaction.product_viewed" not in counts

    monkeypatch.undo()
    assert {counts.type: counts.total for counts in await event_counts.read()}["interaction.product_viewed"] == 1
