"""Account: what one order costs the region's servers and services: messages, deliveries, raft entries and CPU.

CPU is counted per process and is less what the same processes take while nothing happens. It depends far less on what
else the machine does than a rate does, but not nothing: compare runs that were made side by side.
"""

import asyncio
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
import psutil
from rich.table import Table

from mesh.runtime.server_monitor import page
from mesh.runtime.up import Up
from services.demo.bench.cost import listed

IDLE_SECONDS = 5.0
"""How long the idle region is watched before the sale."""
SHOWN_FROM = 0.02
"""What came less often than this for each order is left out."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the servers started, each by name.

    `stored` messages by stream, `delivered` ones by durable consumer and stream, `agreed` raft log entries by the
    groups of streams and consumers, and seconds of `cpu` by process; `at` in seconds of the event loop's clock.
    """

    at: float
    stored: dict[str, float]
    delivered: dict[str, float]
    agreed: dict[str, float]
    cpu: dict[str, float]


async def counted(up: Up, region: str) -> Counted:
    """The counters of a region as they are now. Raises Unavailable, and OSError where a server does not answer."""
    operator = await up.servers.operator(region)
    streams = await listed(operator, "STREAM.LIST", "streams")
    names = [stream["config"]["name"] for stream in streams]
    delivered = {
        f"{consumer['config']['durable_name']} of {name}": consumer["delivered"]["consumer_seq"]
        for name in names
        for consumer in await listed(operator, f"CONSUMER.LIST.{name}", "consumers")
        if consumer["config"].get("durable_name")
    }
    return Counted(
        at=asyncio.get_running_loop().time(),
        stored={stream["config"]["name"]: stream["state"]["last_seq"] for stream in streams},
        delivered=delivered,
        agreed=await _agreed(up, region),
        cpu=_cpu(up, region),
    )


async def _agreed(up: Up, region: str) -> dict[str, float]:
    """The newest raft log entry of each group that has one, as the server that is furthest has it."""
    found: dict[str, float] = {}
    for name in up.topology.region(region).servers:
        monitor = urlsplit(up.servers.monitor(name))
        groups = await page(monitor.hostname or "", monitor.port or 0, "/raftz?acc=SHOP")
        for group, state in (pair for account in groups.values() for pair in account.items()):
            found[group] = max(found.get(group, 0), state.get("pindex", 0))
    return found


def _cpu(up: Up, region: str) -> dict[str, float]:
    """Seconds of CPU of each server, of each service process, of the companions together, and of the buyers.

    In a mesh of this one region: all other processes that the drill has started are companions.
    """
    known = {up.servers.pid(name): f"server {name}" for name in up.topology.region(region).servers}
    known |= {child.process.pid: f"services {name}" for (_, name), child in up.children.items()}
    others = [one.pid for one in psutil.Process().children(recursive=True) if one.pid not in known]
    spent = {name: _seconds(pid) for pid, name in known.items()}
    return spent | {
        "payment provider and other companions": sum(map(_seconds, others)),
        "buyers": _seconds(os.getpid()),
    }


def _seconds(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What one order costs, by the names of `Counted`; CPU in milliseconds."""

    stored: dict[str, float]
    delivered: dict[str, float]
    agreed: float
    cpu_ms: dict[str, float]

    @property
    def orders_per_core(self) -> float:
        """How many orders a second one core does at this cost; 0 where none was counted."""
        total = sum(self.cpu_ms.values())
        return 1000 / total if total else 0.0


def account(idle: tuple[Counted, Counted], sale: tuple[Counted, Counted], orders: int) -> Account:
    """The account of a sale between two counts, less what came by itself between two others."""
    (calm, quiet), (before, after) = idle, sale
    times = (after.at - before.at) / (quiet.at - calm.at)

    def each(name: str, scale: float = 1.0) -> dict[str, float]:
        alone = _grown(getattr(calm, name), getattr(quiet, name))
        grown = _grown(getattr(before, name), getattr(after, name))
        found = {one: (count - alone.get(one, 0) * times) * scale / orders for one, count in grown.items()}
        return {one: round(count, 2) for one, count in found.items() if count >= SHOWN_FROM}

    return Account(
        stored=each("stored"),
        delivered=each("delivered"),
        agreed=round(sum(each("agreed").values()), 2),
        cpu_ms=each("cpu", 1000.0),
    )


def _grown(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: count - before.get(name, 0) for name, count in after.items()}


def account_table(made: Account) -> Table:
    """The account, with sums."""
    table = Table("one order", "", title="what one order costs")
    for title, part, unit in (
        ("messages stored", made.stored, ""),
        ("messages delivered and acknowledged", made.delivered, ""),
        ("CPU", made.cpu_ms, " ms"),
    ):
        table.add_row(f"[bold]{title}[/bold]", f"[bold]{sum(part.values()):.1f}{unit}[/bold]")
        for name, count in sorted(part.items(), key=lambda pair: -pair[1]):
            table.add_row(f"  {name}", f"{count:.2f}{unit}")
    table.add_row("[bold]raft log entries[/bold]", f"[bold]{made.agreed:.1f}[/bold]")
    table.add_row("orders a second that one core does at this cost", f"{made.orders_per_core:.1f}")
    return table
