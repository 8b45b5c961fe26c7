"""Lake: how many events a second its writer takes from the streams into the tables, and what they cost there.

One region of three servers; the events are stored before the writer begins, four views to a cart of three lines.
"""

import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import psutil

from mesh import Mesh, Money
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.lake.settings import LakeSettings
from mesh.lake.table import lake_tables
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.supervised_process import Child
from mesh.runtime.worker import chosen
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import OPERATOR
from services.demo.bench.library import WAVE, WAVES

EVENTS = 200_000
PATIENCE = 300.0
PRICE = Money(amount=1299, currency="EUR")
LINES = tuple(CartLine(product_id=f"p{at}", quantity=1, price=PRICE, name="Lamp of oak") for at in range(3))


async def lake(region: str, figures: dict[str, Any], share: int) -> dict[str, Any]:
    """Measure, in a region of its own, and add what is to be judged to `figures`. Raises TimeoutError."""
    (service,), count = chosen(["lake"]), EVENTS // share
    topology = Topology.of((region,), nodes=3)
    with TemporaryDirectory(prefix="cartmesh-") as name:
        folder = Path(name)
        async with LocalServers(topology, services=[service]) as servers:
            servers.access.write(folder / "servers.json")
            (folder / "topology.json").write_bytes(msgspec.json.encode(topology))
            operator = await connect(servers.access, region, OPERATOR)
            try:
                await _store(operator, count)
                found = await _written(operator, folder, count)
            finally:
                await operator.broker.drain()
    figures["lake"] = found
    figures["judged"]["events a second into the lake"] = found["events_per_second"]
    return found


async def _store(mesh: Mesh, count: int) -> None:
    """The events, a few waves at once."""
    waves = [range(at, min(at + WAVE, count)) for at in range(0, count, WAVE)]
    for at in range(0, len(waves), WAVES):
        await asyncio.gather(*(mesh.publish(*map(_event, wave)) for wave in waves[at : at + WAVES]))


def _event(number: int) -> ProductViewed | CartUpdated:
    if number % 5:
        return ProductViewed(visitor_id=f"v{number % 5000}", product_id=f"p{number % 997}", price=PRICE)
    return CartUpdated(cart_id=f"c{number}", visitor_id=f"v{number % 5000}", lines=LINES)


async def _written(mesh: Mesh, folder: Path, count: int) -> dict[str, Any]:
    """From the moment at which the writer's process is ready until all that it had not committed then is committed."""
    settings = LakeSettings(lake=str(folder / "lake"), lake_reserve_mb=0)
    files = ("--servers", str(folder / "servers.json"), "--topology", str(folder / "topology.json"))
    command = [sys.executable, "-m", "mesh.cli", "run", "lake", "--region", mesh.region, *files]
    child = Child("lake", command, {"CARTMESH_LAKE": settings.lake, "CARTMESH_LAKE_EVERY": "1s"}, folder)
    try:
        await child.start()
        process = psutil.Process(child.process.pid)
        before, begun, cpu = _held(mesh, settings)["rows"], time.perf_counter(), _cpu(process)
        async with asyncio.timeout(PATIENCE):
            while (now := _held(mesh, settings))["rows"] < count:  # noqa: ASYNC110  what is counted is not ours
                await asyncio.sleep(0.1)
        took = time.perf_counter() - begun
        cpu, memory = _cpu(process) - cpu, round(process.memory_info().rss / 2**20)
    finally:
        await child.stop()
    written = now["rows"] - before
    return {
        "events_per_second": round(written / took),
        "cpu_us_per_event": round(cpu / written * 1e6, 1),
        "bytes_per_event": round(now["bytes"] / count),
        "memory_mb": memory,
    }


def _cpu(process: psutil.Process) -> float:
    """Seconds that a process has computed."""
    times = process.cpu_times()
    return times.user + times.system


def _held(mesh: Mesh, settings: LakeSettings) -> dict[str, int]:
    """What all tables hold."""
    known = [table.contents() for table in lake_tables(mesh, settings)]
    types = [one for contents in known if contents for one in contents.types]
    return {key: sum(one[key] for one in types) for key in ("rows", "bytes")}
