"""A projection is rebuilt from the lake and the stream behind it: what its stream has let go of is there as before."""

from contextlib import asynccontextmanager

import msgspec
import pytest

from mesh import Bucket, Mesh, Money, Received, Service
from mesh.broker.jetstream import JetStreamBroker
from mesh.dead_letters import dead_letter_of
from mesh.errors import Denied, TopologyError, Unavailable
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.order import Command, OrderCancelled, OrderConfirmed, OrderCreated
from mesh.lake import past
from mesh.lake.rows import rows_of
from mesh.lake.settings import LakeSettings
from mesh.lake.table import lake_tables
from mesh.operations.rebuild import rebuild
from mesh.past_events import PastEvents, PastHandled
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.connect import connect
from mesh.topology.jetstream_api import answered, api
from mesh.topology.mesh_toml import Topology
from services.orders import service as orders
from services.orders.views import ORDERS
from services.orders.views import service as order_views

TOPOLOGY = Topology.of(["us"], nodes=1)
TOTAL = Money(amount=2598, currency="EUR")
LINES = (CartLine(product_id="p1", quantity=2, price=Money(amount=1299, currency="EUR")),)
COUNT = 12


class Ground:
    """Servers of one region, and what the test does there as operator."""

    def __init__(self, servers, services, operator, folder):
        self.servers, self.services, self.operator = servers, services, operator
        self.mesh = Mesh(JetStreamBroker(operator), "operator")
        self.lake = LakeSettings(lake=str(folder), lake_reserve_mb=0)

    async def file(self, stream, *, count=None):
        """Write a stream's events, or its first ones, into the lake; returns the place up to which it has all."""
        table = next(one for one in lake_tables(self.mesh, self.lake) if one.stream == stream)
        table.load()
        messages = [one async for one in self.mesh.broker.read(stream, ["*.us.>"], after=table.place)]
        messages = [one for one in messages if one.subject.startswith(("ev.", "pii."))][:count]
        table.append(rows_of(messages), after=table.place, place=messages[-1].sequence)
        return table.place

    async def forget(self, stream, up_to):
        """The stream lets go of its events up to a sequence."""
        await answered(self.operator, f"STREAM.PURGE.{stream}", {"seq": up_to + 1})

    async def rebuilt(self, bucket, **options):
        return await rebuild(
            self.operator, TOPOLOGY, self.services, bucket.name, **{"lake": self.lake, "force": False} | options
        )


@asynccontextmanager
async def grounds(services, folder):
    async with LocalServers(TOPOLOGY, services=services) as servers:
        yield Ground(servers, services, await servers.operator("us"), folder)


@asynccontextmanager
async def at_work(ground, service):
    mesh = await connect(ground.servers.access, "us", service.name)
    try:
        async with running(service, mesh):
            yield mesh
    finally:
        await mesh.broker.drain()


async def values(mesh, bucket):
    return {key: value async for key, value in mesh.state(bucket).items()}


async def place_orders(mesh, name):
    """Some orders, each second confirmed, each third cancelled."""
    for at in range(COUNT):
        id_ = f"{name}-{at}"
        command = Command(key=id_, body="b")
        await mesh.publish(
            OrderCreated(order_id=id_, lines=LINES, total=TOTAL, payment_method="tok", command=command, visitor_id="v")
        )
        if at % 2 == 0:
            await mesh.publish(OrderConfirmed(order_id=id_, visitor_id="v", lines=LINES, total=TOTAL))
        if at % 3 == 0:
            cancelled = OrderCancelled(
                order_id=id_, lines=(), amount=TOTAL, left=(), total=Money(amount=0, currency="EUR"), by="shop"
            )
            await mesh.publish(cancelled)


async def test_orders_are_the_same_though_the_stream_has_forgotten_the_oldest(eventually, monkeypatch, tmp_path):
    """From the lake in several parts, and from the stream behind it; what no event made is gone."""
    monkeypatch.setattr(past, "WINDOW", 7)
    async with grounds([orders, order_views], tmp_path) as ground:
        writer = await connect(ground.servers.access, "us", "orders")
        async with at_work(ground, order_views) as views:

            async def complete(count):
                found = await values(views, ORDERS)
                last = found.get(f"new-{COUNT - 3}")
                return found if len(found) == count and last and last.status == "cancelled" else None

            await place_orders(writer, "old")
            place = await ground.file("COMMERCE_us")
            await place_orders(writer, "new")
            before = await eventually(lambda: complete(2 * COUNT))
            stored = (await api(ground.operator, "STREAM.INFO.COMMERCE_us"))["state"]
            await ground.forget("COMMERCE_us", place)
            await views.state(ORDERS).put("nobody", before["old-0"])

            done = await ground.rebuilt(ORDERS)

            after = await values(views, ORDERS)
            with_streams_alone = await ground.rebuilt(ORDERS, lake=LakeSettings())
            await place_orders(writer, "newest")
            await eventually(lambda: complete(2 * COUNT))
        await writer.broker.drain()

    assert after == before
    assert {one.status for one in after.values()} >= {"created", "confirmed", "cancelled"}
    assert done.keys == 2 * COUNT
    assert done.events == stored["messages"] == 2 * (with_streams_alone.events)
    assert with_streams_alone.keys == COUNT


SEEN = Bucket("seen", list[str], rebuilt=True)
keeper = Service("keeper", publishes=(CartUpdated, CustomerIdentified), buckets=(SEEN,), reads_personal_data=True)
asker = Service("asker", asks=("keeper",))


@keeper.on(CartUpdated, batch=4, projects=SEEN)
async def keep_carts(events: list[Received[CartUpdated]], mesh: Mesh) -> None:
    """Keep what happened to each cart, in the order in which it came."""
    if any(one.event.visitor_id == "bad" for one in events):
        raise ValueError("a bad one")
    for one in events:
        await mesh.state(SEEN).update(one.event.cart_id, lambda before, at=one.sequence: [*(before or ()), str(at)])


@keeper.on(CustomerIdentified, projects=SEEN)
async def keep_addresses(event: CustomerIdentified, mesh: Mesh) -> None:
    """Keep who somebody is."""
    await mesh.state(SEEN).put(event.visitor_id, [event.email or "erased"])


async def test_a_rebuild_gives_the_past_in_order_and_decrypted_by_the_same_keys(eventually, monkeypatch, tmp_path):
    """Whose key is destroyed stays unread, and what the handler cannot take is a dead letter and holds nobody up."""
    monkeypatch.setattr(past, "WINDOW", 9)
    async with grounds([keeper], tmp_path) as ground, at_work(ground, keeper) as mesh:

        async def complete():
            found = await values(mesh, SEEN)
            return found if sum(map(len, found.values())) == 32 else None

        for at in range(20):
            await mesh.publish(CartUpdated(cart_id=f"c{at % 3}", visitor_id="v", lines=()))
        for visitor in ("ada", "ben"):
            await mesh.publish(CustomerIdentified(visitor_id=visitor, email=f"{visitor}@example.com"))
        places = {stream: await ground.file(stream) for stream in ("COMMERCE_us", "PERSONAL_us")}
        for at in range(10):
            await mesh.publish(CartUpdated(cart_id=f"c{at % 3}", visitor_id="v", lines=()))
        before = await eventually(complete)
        for stream, place in places.items():
            await ground.forget(stream, place)
        await ground.mesh.personal_data.destroy("ben")
        await ground.rebuilt(SEEN)
        after = await eventually(complete)

        bad = await mesh.publish(CartUpdated(cart_id="c9", visitor_id="bad", lines=()))
        good = await mesh.publish(CartUpdated(cart_id="c8", visitor_id="v", lines=()))
        await ground.file("COMMERCE_us")
        await ground.forget("COMMERCE_us", good[0].sequence)
        await ground.rebuilt(SEEN)
        with_a_bad_one = await values(mesh, SEEN)
        parked = [one async for one in ground.mesh.broker.read("DEAD_us", [">"])]

    sequences = {key: list(map(int, found)) for key, found in before.items() if key.startswith("c")}
    assert all(found == sorted(set(found)) for found in sequences.values())
    assert after == before | {"ben": ["erased"]}
    assert with_a_bad_one == after | {"c8": [str(good[0].sequence)]}
    (letter,) = parked
    assert (dead_letter_of(letter).sequence, dead_letter_of(letter).durable) == (bad[0].sequence, "keeper-keep-carts")
    assert "a bad one" in dead_letter_of(letter).reason


async def test_a_lake_that_ends_before_the_stream_begins_is_refused(eventually, tmp_path):
    """What lies between is in neither, so it takes `force`; nothing was emptied by then."""
    async with grounds([keeper], tmp_path) as ground, at_work(ground, keeper) as mesh:
        for _ in range(8):
            await mesh.publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))
        await ground.file("COMMERCE_us", count=3)
        await eventually(lambda: seen(mesh, 8))
        config = (await api(ground.operator, "STREAM.INFO.COMMERCE_us"))["config"]
        shorter = config | {"max_age": 1_000_000_000, "duplicate_window": 1_000_000_000}
        assert "error" not in await api(ground.operator, "STREAM.UPDATE.COMMERCE_us", shorter)
        await eventually(lambda: is_empty(ground.operator))

        with pytest.raises(TopologyError, match=r"COMMERCE_us no longer keeps .* the lake .* --force"):
            await ground.rebuilt(SEEN)
        kept = await values(mesh, SEEN)
        await ground.rebuilt(SEEN, force=True)
        forced = await values(mesh, SEEN)

    assert (len(kept["c1"]), len(forced["c1"])) == (8, 3)


async def test_the_lake_of_another_stream_is_refused(tmp_path):
    """One that ends behind the stream's last event was written from a stream that there is no more."""
    async with grounds([keeper], tmp_path) as ground, at_work(ground, keeper) as mesh:
        for _ in range(5):
            await mesh.publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))
        table = next(one for one in lake_tables(ground.mesh, ground.lake) if one.stream == "COMMERCE_us")
        messages = [one async for one in ground.mesh.broker.read("COMMERCE_us", ["ev.us.>"])]
        table.append(rows_of(messages), after=0, place=messages[-1].sequence + 1000)
        await ground.forget("COMMERCE_us", messages[2].sequence)

        with pytest.raises(TopologyError, match="holds another stream than COMMERCE_us"):
            await ground.rebuilt(SEEN)


async def test_a_service_that_asks_another_cannot_tell_it_what_happened(tmp_path):
    """Its other requests are answered; what a handler is given of the past is the operator's to say."""
    async with grounds([keeper, asker], tmp_path) as ground, at_work(ground, keeper):
        stranger = await connect(ground.servers.access, "us", "asker")
        durable = keeper.bindings[0].durable
        try:
            with pytest.raises((Denied, Unavailable)):
                await stranger.broker.request("rpc.us.keeper.rebuild", encoded(durable), timeout=1)
        finally:
            await stranger.broker.drain()
        answer = await ground.mesh.broker.request("rpc.us.keeper.rebuild", encoded(durable), timeout=5)
        unknown = await ground.mesh.broker.request("rpc.us.keeper.rebuild", encoded("keeper-none"), timeout=5)

    assert decoded(answer) == PastHandled()
    assert "no handler keeper-none" in decoded(unknown).error


async def seen(mesh, count):
    """Whether a cart has so many events."""
    return len((await values(mesh, SEEN)).get("c1", ())) == count


async def is_empty(operator):
    """Whether the stream has let go of everything."""
    return (await api(operator, "STREAM.INFO.COMMERCE_us"))["state"]["messages"] == 0


def encoded(durable):
    """The request whether there is such a handler."""
    return msgspec.msgpack.encode(PastEvents(durable=durable))


def decoded(answer):
    """The answer to it."""
    return msgspec.msgpack.decode(answer, type=PastHandled)
