"""The write path: carts and views through the gateway beside the machine's raw ceiling, and what each costs."""

import asyncio
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from rich.console import Console

from mesh.broker.connection import Connection
from mesh.broker.raw import RawClient
from mesh.runtime.up import Up
from services.demo.bench.ceiling import ceiling
from services.demo.bench.cost import Cost, Counts, cost, counts, figures, settled
from services.demo.bench.growth import fill, listening
from services.demo.bench.http_client import HttpClient
from services.demo.bench.load import Load, carts, introductions, send_all, views
from services.demo.replay.environment import Environment

IDLE_SECONDS = 5.0
"""How long an idle region is watched, to know what it does by itself."""
LISTENERS = (0, 1, 5, 10)
TOGETHER = 8
"""Carts of one atomic batch of the second ceiling."""
ABANDONED = 4.0
"""Seconds until the timers of carts that are left after two seconds have fired."""


@dataclass(frozen=True)
class Bench:
    """A region to write to."""

    environment: Environment
    http: HttpClient
    region: str

    @property
    def up(self) -> Up:
        """The embedded mesh; RuntimeError where the mesh is not one that the bench started."""
        if self.environment.up is None:
            raise RuntimeError("the write path is measured on an embedded mesh of the bench's own")
        return self.environment.up

    async def operator(self) -> Connection:
        """An operator's connection."""
        return await self.up.servers.operator(self.region)


async def ingest(bench: Bench, found: dict[str, Any], share: int, console: Console) -> None:
    """Views and carts through the gateway, the whole mesh beside; before it the ceiling on the same servers."""
    operator = await bench.operator()
    async with RawClient.connect(bench.up.servers.credentials(bench.region)) as raw:
        single = await ceiling(raw, operator, carts=3_000 // share, in_one_batch=1)
        grouped = await ceiling(raw, operator, carts=3_000 // share, in_one_batch=TOGETHER)
    console.print(f"ceiling, raw batches of event and timer: {single:,.0f} carts/s, in eights {grouped:,.0f}/s")
    await send_all(bench.http, views(500))
    viewed = await send_all(bench.http, views(20_000 // share))
    await settled(operator)
    filled = await send_all(bench.http, carts(6_000 // share))
    found["ingest"] = {"views": viewed, "carts": filled, "ceiling": single, "ceiling_in_eights": grouped}
    for name, load in (("views", viewed), ("carts", filled)):
        console.print(f"{name}: {load.rate:,.0f}/s, a batch of 10 p50 {load.p50} ms, p99 {load.p99} ms")
    found["judged"] |= {
        "raw ceiling: carts a second, one in a batch": single,
        "raw ceiling: carts a second, eight in a batch": grouped,
        "HTTP events acknowledged a second": viewed.rate,
        "cart commits a second": filled.rate,
        "cart commits / raw ceiling, one in a batch": filled.rate / single,
        "cart commits / raw ceiling, eight in a batch": filled.rate / grouped,
    }


async def cost_card(bench: Bench, found: dict[str, Any], share: int, console: Console) -> None:
    """What one view, one left cart and one that a mail is sent for make the servers do, with all that follows."""
    idle = await _idle(bench)
    view, _, _ = await _cost(bench, idle, lambda: send_all(bench.http, views(3_000 // share)), wait=0.5)
    cart, load, seconds = await _cost(bench, idle, lambda: send_all(bench.http, carts(1_500 // share)), wait=ABANDONED)
    run, written = token_hex(3), 600 // share
    await send_all(bench.http, introductions(written, run=run))
    await settled(await bench.operator())
    mail, _, _ = await _cost(bench, idle, lambda: send_all(bench.http, carts(written, run=run)), wait=ABANDONED)
    found["cost"] = {"view": view, "cart": cart, "cart and its mail": mail}
    for name, one in (("view", view), ("left cart", cart), ("left cart and its mail", mail)):
        console.print(f"a {name}: {one}")
    whole = load.events / (seconds - ABANDONED)
    found["judged"] |= {
        "cart commits a second, the whole life of each": whole,
        "messages stored for a left cart": cart.stored,
        "deliveries for a left cart": cart.delivered,
        "ms of CPU for a left cart, servers and services": _cpu(cart),
        "ms of CPU for a left cart and its mail, servers and services": _cpu(mail),
        "ms of CPU for a view, servers and services": _cpu(view),
    }
    if "ingest" in found:
        found["judged"]["the whole life of a cart / raw ceiling, one in a batch"] = whole / found["ingest"]["ceiling"]


async def growth(bench: Bench, found: dict[str, Any], share: int, console: Console) -> None:
    """The cost of a left cart with more listening services, and with ten times the carts in the stream."""
    idle, size = await _idle(bench), 1_500 // share
    login, mesh = bench.up.servers.credentials(bench.region), bench.environment.meshes[bench.region]
    found["growth"], by_listeners = {}, []
    for count in LISTENERS:
        async with listening(login, mesh, count):
            one, load, _ = await _cost(bench, idle, lambda: send_all(bench.http, carts(size)), wait=ABANDONED)
        by_listeners.append(_cpu(one))
        found["growth"][f"{count} more services"] = {"cost": one, "rate": load.rate}
        console.print(f"{count} more services listen: {load.rate:,.0f} carts/s, {_cpu(one):.1f} ms of CPU a cart")
    found["judged"][f"a cart's cost with {LISTENERS[-1]} more services"] = by_listeners[-1] / by_listeners[0]
    costs = []
    for stored in (10_000 // share, 90_000 // share):
        await fill(mesh, stored, run=token_hex(3))
        await settled(await bench.operator())
        one, load, _ = await _cost(bench, idle, lambda: send_all(bench.http, carts(size)), wait=ABANDONED)
        costs.append(_cpu(one))
        found["growth"][f"{stored} more carts stored"] = {"cost": one, "rate": load.rate}
        console.print(f"{stored:,} more carts stored: {load.rate:,.0f} carts/s, {_cpu(one):.1f} ms of CPU a cart")
    found["judged"]["a cart's cost with ten times the carts stored"] = costs[1] / costs[0]


def _cpu(one: Cost) -> float:
    return one.servers_cpu_ms + one.services_cpu_ms


async def _idle(bench: Bench) -> dict[str, float]:
    """What the region does by itself, a second."""
    await settled(await bench.operator())
    before = await _counted(bench)
    await asyncio.sleep(IDLE_SECONDS)
    return {name: spent / IDLE_SECONDS for name, spent in figures(before, await _counted(bench)).items()}


async def _cost(bench: Bench, idle: dict[str, float], send: Any, *, wait: float) -> tuple[Cost, Load, float]:
    """The cost of each event of a load until all that follows from it is done; the load; the seconds it took."""
    clock = asyncio.get_running_loop().time
    before, began = await _counted(bench), clock()
    load: Load = await send()
    await asyncio.sleep(wait)
    await settled(await bench.operator())
    seconds = clock() - began
    return cost(before, await _counted(bench), idle, seconds=seconds, events=load.events), load, seconds


async def _counted(bench: Bench) -> Counts:
    return await counts(await bench.operator(), bench.up, bench.region)
