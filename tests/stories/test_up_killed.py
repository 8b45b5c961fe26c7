"""A mesh on one machine goes on after kill -9: of a server, of a service, and of `cartmesh up` itself."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from mesh.events.cart import CartUpdated
from mesh.mesh import Mesh
from mesh.runtime.process_list import listed_in
from mesh.topology.access import Access
from mesh.topology.connect import connect

UP = """
import asyncio, sys
from pathlib import Path
from mesh.runtime.run import until_asked_to_stop
from mesh.runtime.up import Up
from mesh.topology.mesh_toml import Topology

async def main():
    with until_asked_to_stop() as stop:
        async with Up(Topology.of(["us"], nodes=1), directory=Path(sys.argv[1]), only=["heartbeat"],
                      companions=False, for_people=True):
            print("up", flush=True)
            await stop.wait()

asyncio.run(main())
"""


@asynccontextmanager
async def up(directory):
    """A mesh of one server and one service, which is killed when the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", UP, str(directory), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        async with asyncio.timeout(120):
            assert b"up" in await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def operator(directory):
    """The operator's mesh, at the addresses of the last start."""
    mesh = await connect(Access.read(directory / "servers.json"), "us", "operator")
    try:
        yield mesh
    finally:
        await mesh.broker.drain()


async def carts(mesh: Mesh) -> list[str]:
    return [received.event.cart_id async for received in mesh.read(CartUpdated)]


@pytest.mark.timeout(300)
async def test_what_is_killed_comes_back_with_its_data(tmp_path, eventually):
    """Each restart is counted; a start in the folder of a mesh that was killed goes on with what was acknowledged."""

    async def after_restart(name):
        (one,) = [one for one in listed_in(tmp_path) if one.name == name]
        return one if one.restarts == 1 and one.state == "running" else None

    async with up(tmp_path) as process:
        async with operator(tmp_path) as mesh:
            await mesh.publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))
        first = {one.name: one for one in listed_in(tmp_path)}
        for name in ("us-1", "us-worker"):
            os.kill(first[name].pid, signal.SIGKILL)
        back = [await eventually(lambda name=name: after_restart(name), within=120) for name in ("us-1", "us-worker")]
        async with operator(tmp_path) as mesh:
            await mesh.publish(CartUpdated(cart_id="c2", visitor_id="v", lines=()))
        process.kill()
        await process.wait()

    async def all_gone():
        return all(one.state == "gone" for one in listed_in(tmp_path))

    await eventually(all_gone, within=60)  # the kernel ends them with what started them
    async with up(tmp_path) as process:
        again = {one.name: one for one in listed_in(tmp_path)}
        async with operator(tmp_path) as mesh:
            stored = await carts(mesh)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 120)

    assert {one.name: (one.kind, one.services) for one in again.values()} == {
        "up": ("up", ()),
        "us-1": ("server", ()),
        "us-worker": ("service", ("heartbeat",)),
    }
    assert [one.pid != first[one.name].pid for one in back] == [True, True]
    assert {one.name: (one.state, one.restarts) for one in again.values()} == dict.fromkeys(again, ("running", 0))
    assert sorted(stored) == ["c1", "c2"]
    assert {one.state for one in listed_in(tmp_path)} == {"stopped"}
