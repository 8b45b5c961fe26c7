"""The twin's own: regions and links, an injected clock, stopped servers. The contract is in tests/contract."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker.memory import MemoryMesh
from mesh.broker.protocol import Outgoing
from mesh.errors import Unavailable
from mesh.event import declaration_of
from mesh.events.cart import CartIdle, CartUpdated
from mesh.events.mesh import MeshHeartbeat
from mesh.events.order import OrderPlaced, PurchaseHeartbeat, PurchaseMarked
from mesh.mesh import Mesh
from mesh.money import Money
from mesh.publish import Cause
from mesh.streams import Bucket, ConsumerSpec, ObjectStore, StreamFamily, StreamLayout
from mesh.timers import Timer


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.time

    def forward(self, **duration):
        self.time += timedelta(**duration)


def updated(region="us", key="c1", **options):
    return Outgoing(subject=f"ev.{region}.cart.updated.{key}", body=key.encode(), **options)


async def subjects(broker, stream):
    return [message.subject async for message in broker.read(stream, [">"])]


async def test_events_of_a_region_are_copied_to_every_other(regions):
    """What happens in one region is read in the others, from their own MESH stream; its own copy leaves it out."""
    us, eu = regions.broker("us"), regions.broker("eu")
    await us.store("COMMERCE_us", updated("us"))
    await eu.store("COMMERCE_eu", updated("eu"))

    assert await subjects(us, "MESH_us") == ["ev.eu.cart.updated.c1"]
    assert await subjects(eu, "MESH_eu") == ["ev.us.cart.updated.c1"]


async def test_personal_data_and_interactions_stay_at_home(regions):
    """Only `ev` subjects of atomic streams travel."""
    us, eu = regions.broker("us"), regions.broker("eu")
    later = datetime.now(UTC) + timedelta(hours=1)
    await us.store("PERSONAL_us", Outgoing(subject="pii.us.customer.identified.v1", body=b""))
    await us.store("INTERACTIONS_us", Outgoing(subject="ev.us.interaction.product_viewed.v1", body=b""))
    await us.store(
        "COMMERCE_us", Outgoing(subject="timer.us.cart.idle.c1", body=b"", at=later, target="ev.us.cart.idle.c1")
    )

    assert await subjects(eu, "MESH_eu") == []


async def test_a_cut_region_works_alone_and_catches_up_once(regions):
    """While cut both sides go on; healed, everything arrives exactly once."""
    us, eu = regions.broker("us"), regions.broker("eu")
    await us.store("COMMERCE_us", updated(key="before"))
    regions.cut("eu")

    await us.store("COMMERCE_us", updated(key="during"))
    await eu.store("COMMERCE_eu", updated("eu", "during"))
    alone = await subjects(eu, "MESH_eu"), await subjects(us, "MESH_us")
    regions.heal("eu")
    regions.heal("eu")

    assert alone == (["ev.us.cart.updated.before"], [])
    assert await subjects(eu, "MESH_eu") == ["ev.us.cart.updated.before", "ev.us.cart.updated.during"]
    assert await subjects(us, "MESH_us") == ["ev.eu.cart.updated.during"]


async def test_one_link_can_be_cut_alone():
    """The other links go on."""
    regions = MemoryMesh("us", "eu", "ap")
    regions.cut("us", "eu")

    await regions.broker("us").store("COMMERCE_us", updated())

    assert await subjects(regions.broker("eu"), "MESH_eu") == []
    assert await subjects(regions.broker("ap"), "MESH_ap") == ["ev.us.cart.updated.c1"]


async def test_staleness_grows_while_cut(regions):
    """A region without heartbeats becomes stale."""
    here = Mesh(regions.broker("us"), "tests", others=("eu",))
    there = Mesh(regions.broker("eu"), "heartbeat", others=("us",))
    assert await here.staleness() == {"eu": None}

    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    await there.publish(MeshHeartbeat(region="eu", at=long_ago))
    regions.cut("us")
    await there.publish(MeshHeartbeat(region="eu", at=datetime.now(UTC)))
    assert (await here.staleness())["eu"] >= timedelta(minutes=1)

    regions.heal("us")
    assert (await here.staleness())["eu"] < timedelta(seconds=30)


async def test_a_beat_that_overtakes_purchases_does_not_count(regions):
    """Streams are copied one by one: what is known of a region is as old as the beat behind its purchases."""
    here = Mesh(regions.broker("us"), "tests", others=("eu",))
    there = Mesh(regions.broker("eu"), "heartbeat", others=("us",))
    now = datetime.now(UTC)

    await there.publish(MeshHeartbeat(region="eu", at=now, purchases=True))
    assert await here.staleness() == {"eu": None}

    await there.publish(PurchaseHeartbeat(region="eu", at=now - timedelta(minutes=1)))
    assert (await here.staleness())["eu"] >= timedelta(minutes=1)

    await there.publish(PurchaseHeartbeat(region="eu", at=now))
    assert (await here.staleness())["eu"] < timedelta(seconds=30)


def test_the_beat_behind_purchases_is_in_their_stream():
    """Wherever `mesh.toml` puts them: a stream is a domain's."""
    marked, beat = declaration_of(PurchaseMarked), declaration_of(PurchaseHeartbeat)

    assert (beat.domain, beat.personal) == (marked.domain, marked.personal)


async def test_two_regions_decide_about_one_event_and_both_are_seen():
    """The same cause in two regions is two effects in a third one's copy."""
    regions = MemoryMesh("us", "eu", "ap")
    cause = Cause(id="e1", source="tests.decide")
    for region in ("us", "eu"):
        await Mesh(regions.broker(region), "tests").commit([CartIdle(cart_id="c1", update_id="u")], cause)

    assert await subjects(regions.broker("ap"), "MESH_ap") == ["ev.us.cart.idle.c1", "ev.eu.cart.idle.c1"]


async def test_buckets_and_shelves_belong_to_a_region(regions):
    """What is put in one region is not in another, and brokers of one region share it."""
    bucket, object_store = Bucket("b", int), ObjectStore("s")
    await regions.broker("us").kv_put(bucket, "k", b"1")
    await regions.broker("us").object_put(object_store, "n", b"1")

    assert (await regions.broker("us").kv_get(bucket, "k")).value == b"1"
    assert await regions.broker("eu").kv_get(bucket, "k") is None
    assert await regions.broker("eu").object_get(object_store, "n") is None


async def test_questions_cross_links_that_stand(regions):
    """`rpc` goes to the region that answers, unless it is cut off."""

    async def answer(body):
        return body + b"!"

    await regions.broker("eu").serve("rpc.eu.carts.count", "carts", answer)
    us = regions.broker("us")
    assert await us.request("rpc.eu.carts.count", b"hi", timeout=1) == b"hi!"

    regions.cut("eu")
    with pytest.raises(Unavailable):
        await us.request("rpc.eu.carts.count", b"hi", timeout=1)


async def test_a_clock_of_ones_own_moves_timers(eventually):
    """An hour passes in a moment: not before, then at once."""
    clock = Clock()
    mesh = Mesh(MemoryMesh("us", clock=clock).broker(), "tests")
    due = clock() + timedelta(hours=1)
    await mesh.publish(Timer(CartIdle(cart_id="c1", update_id="u"), due))

    clock.forward(minutes=59)
    await asyncio.sleep(0.05)
    assert await mesh.last(CartIdle, "c1") is None

    clock.forward(minutes=1)
    fired = await eventually(lambda: mesh.last(CartIdle, "c1"))
    assert (fired.time, fired.stored) == (due, due)


async def test_a_clock_of_ones_own_moves_redelivery_and_expiry(eventually):
    """ack_wait, nak delays, time to live and the window of ids follow the same clock."""
    clock = Clock()
    regions = MemoryMesh("us", clock=clock)
    broker, bucket = regions.broker(), Bucket("claims", int, ttl=timedelta(hours=1))
    spec = ConsumerSpec(stream="COMMERCE_us", durable="d", filters=("ev.us.>",), ack_wait=timedelta(minutes=10))
    await broker.store("COMMERCE_us", updated(id="a"))
    await broker.kv_put(bucket, "k", b"1")
    deliveries = await broker.deliveries(spec)
    assert len(await deliveries.fetch(1, 1)) == 1
    assert await deliveries.fetch(1, 0.05) == []

    waiting = asyncio.create_task(deliveries.fetch(1, 10))
    clock.forward(minutes=11)
    (again,) = await waiting
    await again.ack()
    assert again.attempt == 2
    assert not (await broker.store("COMMERCE_us", updated(id="a"))).duplicate

    clock.forward(hours=1)

    async def expired():
        return await broker.kv_get(bucket, "k") is None

    await eventually(expired)


async def test_stopped_servers_are_unavailable_and_forget_nothing(regions):
    """While a region is stopped everything raises Unavailable; afterwards all is there."""
    broker = regions.broker("us")
    spec = ConsumerSpec(stream="COMMERCE_us", durable="d", filters=("ev.us.>",))
    deliveries = await broker.deliveries(spec)
    await broker.store("COMMERCE_us", updated())
    regions.stop("us")

    assert not broker.connected
    with pytest.raises(Unavailable):
        await broker.store("COMMERCE_us", updated())
    with pytest.raises(Unavailable):
        await deliveries.fetch(1, 1)

    regions.start("us")
    assert broker.connected
    assert [m.sequence for m in await deliveries.fetch(5, 1)] == [1]


async def test_a_publisher_waits_for_servers_that_come_back(regions):
    """`publish` tries again until its patience is over."""
    mesh = Mesh(regions.broker("us"), "tests")
    regions.stop("us")
    publishing = asyncio.create_task(mesh.publish(CartIdle(cart_id="c1", update_id="u")))
    await asyncio.sleep(0.02)
    assert not publishing.done()

    regions.start("us")

    (stored,) = await publishing
    assert stored.sequence == 1


async def test_a_cancelled_fetch_loses_nothing(regions):
    """What was on its way to a cancelled receiver is delivered again at once."""
    broker = regions.broker("us")
    spec = ConsumerSpec(stream="COMMERCE_us", durable="d", filters=("ev.us.>",))
    deliveries = await broker.deliveries(spec)
    for number in range(20):
        waiting = asyncio.create_task(deliveries.fetch(1, 5))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        await broker.store("COMMERCE_us", updated(key=f"c{number}"))
        waiting.cancel()
        taken = (
            [] if (await asyncio.gather(waiting, return_exceptions=True))[0].__class__ is not list else waiting.result()
        )

        (message,) = taken or await deliveries.fetch(1, 1)
        await message.ack()
        assert message.body == f"c{number}".encode()


async def test_many_messages_are_quick(regions):
    """Ten thousand carts through a durable in well under the time limit of a test."""
    broker = regions.broker("us")
    for part in range(10):
        await broker.store_batch("COMMERCE_us", [updated(key=f"c{part}-{at}") for at in range(1000)])
    deliveries = await broker.deliveries(ConsumerSpec(stream="COMMERCE_us", durable="d", filters=("ev.us.cart.*.*",)))

    count = 0
    while count < 10_000:
        for message in await deliveries.fetch(200, 1):
            await message.ack()
            count += 1

    assert await deliveries.fetch(1, 0) == []


async def test_a_domain_with_a_stream_of_its_own():
    """In memory as on servers: stored there with its timer, copied from there, in one history with the rest."""
    orders = StreamFamily(name="ORDERS", domains=("order",), keep=timedelta(days=9), schedules=True)
    layout = StreamLayout(own=(orders,))
    regions = MemoryMesh("us", "eu", layout=layout)
    us = Mesh(regions.broker("us"), "tests", others=("eu",), layout=layout)
    eu = Mesh(regions.broker("eu"), "tests", others=("us",), layout=layout)
    total = Money(amount=900, currency="EUR")
    placed = OrderPlaced(order_id="o1", visitor_id="v", lines=(), total=total)

    await us.publish(placed, Timer(placed, datetime.now(UTC) + timedelta(hours=1)))
    await us.publish(CartUpdated(cart_id="o1", visitor_id="v", lines=()))

    assert await subjects(us.broker, "ORDERS_us") == ["ev.us.order.placed.o1", "timer.us.order.placed.o1"]
    assert await subjects(us.broker, "COMMERCE_us") == ["ev.us.cart.updated.o1"]
    assert (await eu.last(OrderPlaced, "o1", region="us")).event == placed
    assert [type(one.event) for one in await us.history("o1", "cart", "order")] == [OrderPlaced, CartUpdated]
