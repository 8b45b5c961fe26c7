"""A region with fewer servers: refused while they still count, and done one after another while events are stored."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack

import pytest

from mesh.broker.connection import Connection
from mesh.errors import MeshError, TopologyError
from mesh.events.cart import CartUpdated
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.streams import Bucket
from mesh.topology.apply import apply
from mesh.topology.jetstream_api import listed
from mesh.topology.mesh_toml import Topology
from mesh.topology.meta_group import members, remove
from mesh.topology.secrets import SYSTEM

FIVE, THREE = Topology.of(["us"], nodes=5), Topology.of(["us"], nodes=3)


KEPT = Bucket("kept", str)
keeper = Service("keeper", publishes=(CartUpdated,), buckets=(KEPT,))


@keeper.on(CartUpdated, projects=KEPT, one_copy=True)
async def keep_carts(cart: CartUpdated):
    """Keep it; its place is on one server."""


async def cartmesh(*words):
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "mesh.cli", "mesh", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_fewer_servers_or_copies_than_there_are_are_refused():
    """Applied as one server, three are named with the command that takes one out; of three none can be spared."""
    async with LocalServers(THREE) as servers:
        operator = await servers.operator("us")
        system = await Connection.open(servers.credentials("us", SYSTEM))
        try:
            with pytest.raises(TopologyError) as refused:
                await apply(Topology.of(["us"], nodes=1), [], {"us": operator}, systems={"us": system})
            with pytest.raises(TopologyError, match="us-9 is no server of us's group; there are us-1, us-2, us-3"):
                await remove(system, operator, "us-9")
            with pytest.raises(TopologyError, match="streams with 3 copies: none can be spared"):
                await remove(system, operator, "us-3")
            assert len(await members(system)) == 3
        finally:
            await system.drain()

    assert "us has 3 servers, mesh.toml says 1" in str(refused.value)
    assert "cartmesh mesh remove-server us-3 --region us" in str(refused.value)
    assert "COMMERCE_us (1 of 3 copies would be left; --force COMMERCE_us does it all the same)" in str(refused.value)


@pytest.mark.drill
async def test_five_servers_become_three_without_losing_the_majority(eventually):
    """A stopped server still counts, so apply refuses; taken out one by one, three are left that survive a loss."""
    async with LocalServers(FIVE, services=[keeper]) as servers, AsyncExitStack() as stack:
        operator = await servers.operator("us")
        system = await Connection.open(servers.credentials("us", SYSTEM))
        stack.push_async_callback(system.drain)
        for number in range(50):
            await operator.request(f"ev.us.cart.updated.c{number}", b"{}")
        await servers.kill_node("us", 5)

        async def says_who_is_stopped():
            with pytest.raises(TopologyError) as refused:
                await apply(THREE, [], {"us": operator}, systems={"us": system})
            return "us has 5 servers, of which us-5 are stopped and still count" in str(refused.value)

        assert await eventually(says_who_is_stopped, within=30)
        await remove(system, operator, "us-5")
        found = await listed(operator, "CONSUMER.LIST.COMMERCE_us", "consumers")
        assert {one["cluster"]["leader"] in ("us-1", "us-2", "us-3", "us-4") for one in found} == {True}
        path = servers.write_state()
        out = await cartmesh("remove-server", "us-4", "--region", "us", "--servers", str(path))
        again = await cartmesh("remove-server", "us-4", "--region", "us", "--servers", str(path))
        spared = await cartmesh("remove-server", "us-3", "--region", "us", "--servers", str(path))
        await servers.kill_node("us", 4)

        assert out.returncode == 0, out.stderr
        assert "us-4 is no server of us's group; there are us-1, us-2, us-3" in again.stderr
        assert "streams with 3 copies: none can be spared" in spared.stderr
        assert [one.name for one in await members(system)] == ["us-1", "us-2", "us-3"]
        assert await apply(THREE, [keeper], {"us": operator}, systems={"us": system}) == []
        await servers.kill_node("us", 3)

        async def stored():
            try:
                (commerce,) = [
                    s for s in await listed(operator, "STREAM.LIST", "streams") if "COMM" in s["config"]["name"]
                ]
                await operator.request("ev.us.cart.updated.after", b"{}")
            except MeshError:  # the leader is being elected
                return 0
            return commerce["state"]["messages"] >= 50

        assert await eventually(stored, within=30)
