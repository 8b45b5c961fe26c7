"""Functions: how long a file takes to start, and how much longer a call takes than that of a handler.

One region of three servers and the service `functions` alone. The handler runs in this process; both publish the same.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from mesh import Event, Mesh, Money, Service
from mesh.binding import Binding
from mesh.event import declaration_of
from mesh.events.cart import CartLine
from mesh.events.function import FunctionEmitted
from mesh.events.order import OrderConfirmed, OrderPlaced
from mesh.mesh import readable
from mesh.runtime.run import running
from mesh.runtime.up import Up
from mesh.subjects import every
from mesh.topology.mesh_toml import Topology
from services.demo.replay.report import percentiles

SETTINGS = {"CARTMESH_FUNCTIONS_LOOK": "50ms"}
STARTS, CALLS = 40, 400
PATIENCE = 120.0
FILE = """
from mesh.events.order import OrderConfirmed
from mesh.function import Context, Emit, function

VERSION = {version}

@function(on=OrderConfirmed, publishes=("bench.called",))
def call_function(confirmed: OrderConfirmed, context: Context) -> Emit:
    return Emit("bench.called", key=confirmed.order_id)
"""
LINES = tuple(CartLine(product_id=f"sku-{at}", quantity=1, price=Money(amount=1299, currency="EUR")) for at in range(3))


class _File(msgspec.Struct):
    version: str | None
    started: float


class _Files(msgspec.Struct):
    files: list[_File]


class _Question(msgspec.Struct):
    pass


async def functions(region: str, share: int) -> dict[str, Any]:
    """Measure, in a region of its own. Raises TimeoutError."""
    with TemporaryDirectory(prefix="cartmesh-bench-") as folder:
        environment = SETTINGS | {"CARTMESH_FUNCTIONS_FOLDER": folder}
        topology = Topology.of((region,), nodes=3)
        async with (
            Up(topology, environment=environment, companions=False, only=["functions"]) as up,
            asyncio.timeout(PATIENCE),
        ):
            mesh = await up.operator(region)
            starts = await _starts(mesh, Path(folder) / "bench.py", STARTS // share)
            handler, function = await _calls(mesh, CALLS // share)
    beyond = round((function["p50"] or 0) - (handler["p50"] or 0), 1)
    return {
        "cold_start_ms": starts,
        "handler_ms": handler,
        "function_ms": function,
        "warm_beyond_handler_ms": beyond,
    }


async def _starts(mesh: Mesh, file: Path, count: int) -> Any:
    """From a new version of a file until its process has imported it."""
    starts, before = [], None
    for version in range(count + 1):
        await asyncio.to_thread(file.write_text, FILE.format(version=version), encoding="utf-8")
        before, started = await _version_after(mesh, before)
        starts.append(timedelta(milliseconds=started))
    return percentiles(starts[1:])  # the first one waits for the server that forks


async def _version_after(mesh: Mesh, before: str | None) -> tuple[str, float]:
    while True:
        found = (await mesh.ask("functions", "read-functions", _Question(), _Files)).files
        if found and found[0].version not in (None, before):
            return found[0].version or "", found[0].started
        await asyncio.sleep(0.02)


async def _calls(mesh: Mesh, count: int) -> tuple[Any, Any]:
    """From before an event is published until what follows from it is delivered: of a handler, and of a function."""
    stream = mesh.stream_of(FunctionEmitted)
    arrived = await mesh.broker.follow(stream, (every(declaration_of(FunctionEmitted), region=mesh.region),), None)
    service = Service("bench", publishes=(FunctionEmitted,), binds_later=True)
    found: dict[type[Event], list[timedelta]] = {OrderPlaced: [], OrderConfirmed: []}
    async with running(service, mesh) as run:
        await run.bind(Binding(service="bench", handler=_call_handler, kinds=(OrderPlaced,), new_only=True), make=True)
        for at in range(count):
            for kind, spans in found.items():
                key, began = f"{token_hex(4)}-{at}", datetime.now(UTC)
                total = Money(amount=3897, currency="EUR")
                await mesh.publish(kind(order_id=key, lines=LINES, total=total, visitor_id="v"))
                while key not in [one.event.key for one in readable(await arrived.fetch(10, 1.0))]:
                    pass
                spans.append(datetime.now(UTC) - began)
    await arrived.close()
    return percentiles(found[OrderPlaced]), percentiles(found[OrderConfirmed])


async def _call_handler(placed: OrderPlaced) -> AsyncIterator[FunctionEmitted]:
    """What the function does, as a handler."""
    yield FunctionEmitted(key=placed.order_id, name="bench.called", function="handler")
