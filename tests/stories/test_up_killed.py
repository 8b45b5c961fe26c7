"""A mesh on one machine goes on after kill -9: of a server, of a service, and of `cartmesh up` itself."""

import asyncio
import itertools
import os
import re
import signal
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import pytest

from mesh.events.cart import CartUpdated
from mesh.mesh import Mesh
from mesh.runtime.process_list import listed_in
from mesh.topology.access import Access
from mesh.topology.connect import connect

ROOT = Path(__file__).parents[2]
READY = "ready after"
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


@pytest.mark.drill
@pytest.mark.timeout(900)
async def test_whatever_is_killed_again_and_again_nothing_acknowledged_is_lost(tmp_path, eventually):
    """Servers, every service and `cartmesh up` itself, six times over, while carts come in at the gateway."""
    acknowledged, numbers = set(), itertools.count()
    for turn in range(6):
        async with whole(tmp_path, eventually) as process:
            for _ in range(2):
                running = [one for one in listed_in(tmp_path) if one.kind in ("server", "service") and one.pid]
                os.kill(running[(7 * turn + next(numbers)) % len(running)].pid, signal.SIGKILL)
                acknowledged |= await left_carts(tmp_path, numbers, 20, eventually)
            process.kill()
            await process.wait()

    async with whole(tmp_path, eventually) as process:
        async with operator(tmp_path) as mesh:
            stored = await carts(mesh)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 120)

    assert len(acknowledged) == 240
    assert acknowledged - set(stored) == set()
    assert len(stored) == len(set(stored))


@asynccontextmanager
async def whole(directory, eventually):
    """`cartmesh up` of one region of three servers with all its services, killed when the block ends."""
    command = ("up", "--regions", "us", "--dir", str(directory))
    log = directory / "up.log"
    before = log.read_text().count(READY) if log.exists() else 0
    with log.open("ab") as printed:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mesh.cli", *command, cwd=ROOT, stdout=printed, stderr=printed, start_new_session=True
        )

    async def ready():
        assert process.returncode is None, log.read_text()[-2000:]
        return log.read_text().count(READY) > before

    try:
        await eventually(ready, within=200)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def left_carts(directory, numbers, count, eventually):
    """Send carts to the gateway, each again until it is acknowledged; their ids."""
    taken = set()
    async with httpx.AsyncClient(headers={"Authorization": "Bearer demo"}, timeout=60) as client:
        for number in itertools.islice(numbers, count):
            line = {"product_id": "p1", "quantity": 1, "price": {"amount": 1999, "currency": "EUR"}}
            event = {"id": f"e{number}", "type": "cart_updated", "time": datetime.now(UTC).isoformat()}
            event |= {"visitor_id": "v1", "cart_id": f"c{number}", "lines": [line]}
            await eventually(partial(_is_taken, client, directory, event), within=200)
            taken.add(event["cart_id"])
    return taken


async def _is_taken(client, directory, event):
    try:
        answer = await client.post(f"{gateway_of(directory)}/v1/events", json={"events": [event]})
    except httpx.HTTPError:
        return False
    assert answer.status_code in (202, 429, 503), answer.text
    return answer.status_code == 202


def gateway_of(directory):
    """The gateway's address, as `cartmesh up` printed it last."""
    return re.findall(r"gateway us .*?(http://127\.0\.0\.1:\d+)", (directory / "up.log").read_text())[-1]
