"""A region without disks and backups gets its events back from the copies: the same ones, in the same places."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.protocol import Outgoing
from mesh.errors import MeshError, TopologyError
from mesh.events.cart import CartIdle, CartUpdated
from mesh.events.mesh import MeshHeartbeat
from mesh.operations import rebuild_region as rebuilding
from mesh.operations.rebuild_region import rebuild_region
from mesh.operations.refill import _Filling
from mesh.publish import Draft
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.streams import Bucket
from mesh.timers import Timer
from mesh.topology.jetstream_api import answered
from mesh.topology.mesh_toml import Topology
from mesh.topology.stream_settings import own_family
from tests.broker.test_backup import cart, connected, copied, given_carts, wipe

SEEN = Bucket("seen", str)
watcher = Service("watcher", publishes=(CartUpdated, CartIdle, MeshHeartbeat), timers=(CartIdle,), buckets=(SEEN,))


@watcher.on(CartUpdated)
async def note_cart(cart: CartUpdated):
    """Note it."""
    yield cart


@watcher.on(CartUpdated, reach="mesh")
async def hear_cart(cart: CartUpdated) -> None:
    """Hear of it."""


@watcher.on(CartUpdated, reach="mesh", projects=SEEN)
async def show_cart(cart: CartUpdated) -> None:
    """Show it."""


PASSING = (
    *("Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending", "Nats-Last-Sequence"),
    *("Nats-Batch-", "Nats-Expected-", "Cartmesh-Stored"),
)
"""Headers of an answer, or of the moment in which a message was stored."""


@pytest.fixture(autouse=True)
def heard_soon(monkeypatch):
    """Nobody publishes here but the test."""
    monkeypatch.setattr(rebuilding, "LISTENED", 0.2)


async def held(servers, region, stream):
    """A stream's events of `eu`: stream and sequence or, of a copy, those of the original; subject, headers, body."""
    found = []
    async for one in JetStreamBroker(await servers.operator(region)).read(stream, ["ev.eu.>"]):
        own = {name: value for name, value in one.headers.items() if not name.startswith(PASSING)}
        origin = one.headers.get("Nats-Stream-Source", "").split(" ")
        place = (origin[0].partition(":")[0], int(origin[1])) if len(origin) > 1 else (stream, one.sequence)
        found.append((*place, one.subject, own, one.body))
    return found


async def rebuilt(servers, **options):
    others = [await servers.operator(name) for name in servers.topology.others("eu")]
    return await rebuild_region(await servers.operator("eu"), servers.topology, [watcher], others, **options)


async def acknowledged(servers, sequence):
    """Whether `eu` has told `us` so: one that copies anew is given what comes behind."""
    copying = await answered(await servers.operator("us"), "CONSUMER.INFO.COMMERCE_us.copy_eu")
    return copying["ack_floor"]["stream_seq"] >= sequence


async def durable(servers, stream, name):
    operator = await servers.operator("eu")
    return (await JetStreamBroker(operator).consumer_states(stream, [name])).get(name)


async def test_a_lost_region_has_its_events_again_in_their_places(eventually, monkeypatch):
    """Killed midway and given again: each event once, here and elsewhere; and new ones go both ways."""
    async with LocalServers(Topology.of(["us", "eu", "ap"], nodes=1), services=[watcher]) as servers:
        eu, us = await connected(servers, "eu"), await connected(servers, "us")
        later = datetime.now(UTC) + timedelta(hours=1)
        for number in range(40):
            await eu.publish(cart(f"c{number}"), Timer(CartIdle(cart_id=f"c{number}", update_id="u"), later))
        await us.publish(cart("before"))
        await eventually(lambda: copied(servers, "ap", "eu", "c39"))
        await eventually(lambda: copied(servers, "us", "eu", "c39"))
        servers.cut("ap")
        await eu.publish(cart("c40"), cart("c41"))
        await eventually(lambda: copied(servers, "us", "eu", "c41"))
        stood = await held(servers, "eu", "COMMERCE_eu")
        await answered(await servers.operator("us"), "STREAM.PURGE.MESH_us", {"filter": "ev.eu.cart.updated.c0"})
        before = datetime.now(UTC)
        await wipe(servers, "eu")
        await servers.heal("ap")

        commit, commits = _Filling._commit, 0

        async def killed(filling):
            nonlocal commits
            commits += 1
            if commits == 3:
                raise asyncio.CancelledError
            return await commit(filling)

        monkeypatch.setattr("mesh.operations.refill.MOST", 20)
        monkeypatch.setattr(_Filling, "_commit", killed)
        with pytest.raises(asyncio.CancelledError):
            await rebuilt(servers)
        monkeypatch.setattr(_Filling, "_commit", commit)
        with pytest.raises(TopologyError, match="eu is being rebuilt"):
            await servers.apply()
        with pytest.raises(MeshError, match="no stream takes"):
            await eu.broker.store("COMMERCE_eu", Outgoing(subject="ev.eu.cart.updated.soon", body=b"{}"))
        done = await rebuilt(servers)

        assert done.events == {"cart": 42}
        assert done.lost_at < before
        assert (await eu.last(CartUpdated, "c7")).stored < before
        assert await held(servers, "eu", "COMMERCE_eu") == stood, "what one lacks, the other has"
        assert [str(one) for one in await servers.apply()] == []
        await eu.publish(cart("c42"))
        await us.publish(cart("later"))
        for target in ("us", "ap"):
            await eventually(lambda target=target: copied(servers, target, "eu", "c42"), within=60)
        await eventually(lambda: copied(servers, "eu", "us", "later"), within=60)
        assert await copied(servers, "eu", "us", "before")
        stood = await held(servers, "eu", "COMMERCE_eu")
        assert await held(servers, "us", "MESH_us") == stood[1:]
        assert await held(servers, "ap", "MESH_ap") == stood
        assert await given_carts(servers, "eu", 1) == ["c42"], "what is past is not handled again"


async def test_projections_begin_anew_and_other_handlers_do_not(eventually):
    """What is folded from events is given all of them; of other regions' the rest gets what came after the loss."""
    async with LocalServers(Topology.of(["us", "eu"], nodes=1), services=[watcher]) as servers:
        eu, us = await connected(servers, "eu"), await connected(servers, "us")
        long_ago = datetime.now(UTC) - timedelta(days=1)
        await us.publish(Draft(event=cart("old"), id="old", time=long_ago))
        await eu.publish(cart("c1"), cart("c2"))
        await us.publish(cart("new"))
        await eventually(lambda: copied(servers, "us", "eu", "c2"))
        await eventually(lambda: acknowledged(servers, 2))
        await wipe(servers, "eu")
        await rebuilt(servers)

        (narrowed,) = watcher.bindings[0].consumers("eu")
        await JetStreamBroker(await servers.operator("eu")).make_durable(narrowed)  # as its service may, where it began

        places = {
            (stream, name): (await durable(servers, stream, name)).pending
            for stream in ("COMMERCE_eu", "MESH_eu")
            for name in ("watcher-note-cart", "watcher-show-cart", "watcher-hear-cart")
            if await durable(servers, stream, name)
        }

    assert places == {
        ("COMMERCE_eu", "watcher-note-cart"): 0,
        ("COMMERCE_eu", "watcher-show-cart"): 2,
        ("COMMERCE_eu", "watcher-hear-cart"): 0,
        ("MESH_eu", "watcher-show-cart"): 2,
        ("MESH_eu", "watcher-hear-cart"): 1,
    }


async def test_only_a_lost_and_empty_region_is_rebuilt(eventually, monkeypatch):
    """One that holds something, publishes, was heard, or is known to nobody is left as it is."""
    async with LocalServers(Topology.of(["us", "eu"], nodes=1), services=[watcher]) as servers:
        eu = await connected(servers, "eu")
        with pytest.raises(MeshError, match="no other region was given"):
            await rebuild_region(await servers.operator("eu"), servers.topology, [watcher], [])
        with pytest.raises(MeshError, match="us never received anything of eu"):
            await rebuilt(servers)
        await eu.publish(cart("c1"))
        await eventually(lambda: copied(servers, "us", "eu", "c1"))
        with pytest.raises(MeshError, match="eu is not empty, nothing was changed: COMMERCE_eu hold messages"):
            await rebuilt(servers)
        publishing = asyncio.create_task(heartbeats(eu))
        monkeypatch.setattr(rebuilding, "LISTENED", 5.0)
        with pytest.raises(MeshError, match="services of eu run"):
            await rebuilt(servers)
        publishing.cancel()
        monkeypatch.setattr(rebuilding, "LISTENED", 0.2)
        with pytest.raises(MeshError, match="eu was heard a moment ago"):
            await rebuilt(servers)

        assert await eu.last(CartUpdated, "c1")


async def test_a_mesh_toml_that_lacks_a_stream_rebuilds_nothing():
    """What came from that stream would be left out without a word."""
    stock = own_family("stock", ["stock"], keep=timedelta(days=400))
    whole = replace(Topology.of(["us", "eu"], nodes=1), streams=(stock,))
    async with LocalServers(whole, services=[watcher]) as servers:
        others = [await servers.operator("us")]
        with pytest.raises(MeshError, match="us has STOCK_us, which"):
            await rebuild_region(await servers.operator("eu"), replace(whole, streams=()), [watcher], others)


async def heartbeats(mesh):
    while True:
        await mesh.publish(MeshHeartbeat(region=mesh.region, at=datetime.now(UTC)))
        await asyncio.sleep(0.1)
