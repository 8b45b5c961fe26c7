"""A domain with a stream of its own on real servers of two regions, as `[streams.<name>]` in mesh.toml declares it."""

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.protocol import Outgoing
from mesh.errors import Conflict, DeclarationError, TopologyError
from mesh.events.cart import CartUpdated
from mesh.events.order import OrderPlaced
from mesh.mesh import Mesh
from mesh.money import Money
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.service import Service
from mesh.timers import Timer
from mesh.topology.apply import api, apply
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.topology.stream_settings import own_family

ORDERS = own_family("orders", ["order"], keep=timedelta(days=9))
seen: dict[str, list[str]] = {"us": [], "eu": []}
desk = Service("desk", publishes=(OrderPlaced, CartUpdated), timers=(OrderPlaced,))


@desk.on(OrderPlaced, reach="mesh")
async def note_order(placed: OrderPlaced, mesh: Mesh) -> None:
    """Notes which region saw which order."""
    seen[mesh.region].append(placed.order_id)


def order(key: str) -> OrderPlaced:
    return OrderPlaced(order_id=key, visitor_id="v1", lines=(), total=Money(amount=900, currency="EUR"))


@pytest.fixture
async def servers():
    for orders in seen.values():
        orders.clear()
    topology = replace(Topology.of(["us", "eu"], nodes=1), streams=(ORDERS,))
    async with LocalServers(topology, services=[desk]) as up:
        yield up


@asynccontextmanager
async def connected(servers, region):
    mesh = await connect(servers.access, region, "desk", others=servers.topology.others(region))
    try:
        yield mesh
    finally:
        await mesh.broker.drain()


async def test_orders_travel_from_their_own_stream(servers, eventually):
    """A handler of the whole mesh receives each region's orders once, from the own stream and from the copy."""
    async with connected(servers, "us") as us, connected(servers, "eu") as eu, running(desk, us), running(desk, eu):
        await us.publish(order("from-us"))
        await eu.publish(order("from-eu"))

        await eventually(lambda: all(len(orders) >= 2 for orders in seen.values()), within=40)

        assert [sorted(orders) for orders in seen.values()] == 2 * [["from-eu", "from-us"]]
        operator = await servers.operator("us")
        held = (await api(operator, "STREAM.INFO.COMMERCE_us"))["state"]["messages"]
        assert held == 0


async def test_commits_conditions_and_timers_work_there(servers, eventually):
    """An event and its timer are one commit, a condition holds, and the timer fires."""
    async with connected(servers, "us") as us:
        before = await us.history("timed", "order")
        await us.publish(order("timed"), Timer(order("later"), datetime.now(UTC) + timedelta(seconds=0.2)))

        with pytest.raises(Conflict):
            await us.publish(order("timed"), *before.unchanged(OrderPlaced))
        fired = await eventually(lambda: us.last(OrderPlaced, "later"))

        assert fired.event == order("later")


async def test_two_atomic_streams_are_not_one_commit(servers):
    """It is refused before anything is sent."""
    async with connected(servers, "us") as us:
        with pytest.raises(DeclarationError, match="cannot be one commit"):
            await us.publish(order("both"), CartUpdated(cart_id="both", visitor_id="v1", lines=()))

        assert await us.last(OrderPlaced, "both") is None


@asynccontextmanager
async def at_work(own):
    """A region, with or without the orders' own stream: how to apply either, and its operator's broker."""
    shared = Topology.of(["us"], nodes=1)
    topologies = {True: replace(shared, streams=(ORDERS,)), False: shared}
    async with LocalServers(topologies[own], services=[desk]) as up:
        operator = await up.operator("us")

        async def applied(own, **options):
            return [str(one) for one in await apply(topologies[own], [desk], {"us": operator}, **options)]

        yield applied, JetStreamBroker(operator)


PLACED = Outgoing(subject="ev.us.order.placed.o1", body=b"{}")


async def test_a_mesh_at_work_gives_a_domain_its_stream():
    """Applied to a mesh whose commerce stream took the domain until now, the subjects change hands."""
    async with at_work(own=False) as (applied, broker):
        await applied(own=True)

        again = await applied(own=True)
        stored = await broker.store("ORDERS_us", PLACED)

        kept = "(nobody declares it; --force COMMERCE_us/desk-note-order deletes it)"
        assert again == [f"! us: would delete consumer desk-note-order on COMMERCE_us {kept}"]
        assert stored.sequence == 1


async def test_a_domain_with_events_gets_no_stream_unasked():
    """They would not be read any more: it is refused with the reason, and done with force."""
    async with at_work(own=False) as (applied, broker):
        await broker.store("COMMERCE_us", PLACED)

        with pytest.raises(
            TopologyError, match=r"COMMERCE_us holds 1 messages under ev\.us\.order\.>, which ORDERS_us would"
        ):
            await applied(own=True)
        assert await broker.last("COMMERCE_us", PLACED.subject) is not None

        await applied(own=True, force=["COMMERCE_us"])
        assert (await broker.store("ORDERS_us", PLACED)).sequence == 1


async def test_a_stream_is_taken_away_again():
    """While it is empty its subjects go back; with events it is refused with the reason, and done with force."""
    async with at_work(own=True) as (applied, broker):
        assert "- us: delete stream ORDERS_us (others take its subjects)" in await applied(own=False)
        assert (await broker.store("COMMERCE_us", PLACED)).sequence == 1

    async with at_work(own=True) as (applied, broker):
        await broker.store("ORDERS_us", PLACED)

        with pytest.raises(TopologyError, match=r"ORDERS_us holds 1 messages .* they are deleted with ORDERS_us"):
            await applied(own=False)
        assert await broker.last("ORDERS_us", PLACED.subject) is not None

        await applied(own=False, force=["ORDERS_us"])
        assert (await broker.store("COMMERCE_us", PLACED)).sequence == 1
