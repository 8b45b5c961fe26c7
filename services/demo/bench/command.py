"""The command `cartmesh bench`: the parts one after another, each printed as it is measured, all judged at the end."""

import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from mesh.observability.logs import configure_logs
from mesh.runtime.local_servers import LocalServers
from mesh.topology.mesh_toml import Topology
from mesh.topology.server_settings import ALWAYS
from services.demo.bench import functions, latency, studio, webhooks, writes
from services.demo.bench.audiences import audience_rate
from services.demo.bench.history import history
from services.demo.bench.http_client import connected
from services.demo.bench.lake import lake
from services.demo.bench.library import compare
from services.demo.bench.memory import held
from services.demo.bench.redemption import redemption
from services.demo.bench.sync import AT_ONCE, sync_prices
from services.demo.demo_settings import WITHOUT_LIMITS
from services.demo.replay.environment import Environment, built

REGION = "us"
PARTS = (
    "library",
    "audiences",
    "latency",
    "redemption",
    "ingest",
    "cost",
    "growth",
    "memory",
    "webhooks",
    "functions",
    "lake",
    "history",
    "studio",
    "sync",
)
PENDING = (0, 1_000, 50_000)
TARGETS: dict[str, tuple[float, str]] = {
    "mesh consume / raw fetch + ack": (0.8, ">="),
    "mesh consume / FastStream": (1.5, ">="),
    "mesh publish / raw publish_async": (0.8, ">="),
    "carts a second for 1,000 journeys of 100 conditions": (2000, ">="),
    "HTTP events acknowledged a second": (3000, ">="),
    "cart commits a second": (2000, ">="),
    "cart commits a second, the whole life of each": (2000, ">="),
    "a lone timer, due to SMTP p50 ms": (100, "<="),
    "due to SMTP p99 ms, 50,000 timers pending": (1500, "<="),
    "event to score p99 ms, 500 events/s": (250, "<="),
    "event to score p99 ms, 2,000 events/s": (500, "<="),
    "a code reserved or redeemed p99 ms": (50, "<="),
    "a cart's cost with ten times the carts stored": (1.2, "<="),
    "memory of a region's services MB": (600, "<="),
    "event to webhook's first attempt p99 ms, one of ten dead": (300, "<="),
    "webhooks delivered a second": (2000, ">="),
    "a function's cold start p99 ms": (300, "<="),
    "a warm call of a function beyond a handler p50 ms": (5, "<="),
    "events a second into the lake": (10_000, ">="),
    "seconds for 1,000,000 rows of history": (120, "<="),
    "a preview p95 ms": (150, "<="),
    "a published journey decided with in three regions p99 ms": (1000, "<="),
    "the overview over 1,000,000 decisions p95 ms": (300, "<="),
    "the same right after a start of servers and studio ms": (300, "<="),
    "seconds for a rehearsal of 100,000 carts": (60, "<="),
}
"""What is to be reached, by figure; what is not listed here is only shown."""


def run_bench(*, json: Path | None, quick: bool, only: tuple[str, ...]) -> None:
    """Measure, print, write. ValueError for a part that there is not; ends with 1 where a part failed.

    A part that fails is named, and the others are measured all the same.
    """
    import uvloop  # noqa: PLC0415  only what runs a mesh needs it

    if unknown := set(only) - set(PARTS):
        raise ValueError(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    configure_logs(level="ERROR")
    console = Console()
    figures = uvloop.run(_measure(only or PARTS, 10 if quick else 1, console))
    console.print(judged(figures))
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))
    if figures["failed"]:
        sys.exit(1)


def judged(figures: dict[str, Any]) -> Table:
    """What was to be reached and what was, as far as it was measured."""
    table = Table("figure", "target", "measured", "", title="bench: one region of three servers, all on this machine")
    for name, measured in figures["judged"].items():
        target, sign = TARGETS.get(name, (0.0, ""))
        reached = measured is not None and (measured >= target if sign == ">=" else measured <= target)
        verdict = ("[green]reached[/green]" if reached else "[red]missed[/red]") if sign else ""
        table.add_row(name, f"{sign} {target:,}" if sign else "", _shown(measured), verdict)
    return table


def _shown(measured: float | None) -> str:
    if measured is None:
        return "-"
    return f"{measured:,.2f}" if measured < 20 else f"{measured:,.0f}"


async def _measure(parts: tuple[str, ...], share: int, console: Console) -> dict[str, Any]:
    figures: dict[str, Any] = {"judged": {}, "failed": {}}
    for name, measure in (("library", _library), ("audiences", _audiences)):
        if name in parts:
            await _attempt(name, measure(figures, share, console), figures, console)
    for abandon_after, those in (
        ("2s", ("latency", "redemption", "memory")),
        ("30m", ("ingest",)),
        ("2s", ("cost", "growth")),
    ):
        wanted = [part for part in those if part in parts]
        if wanted:
            region = _region(wanted, abandon_after, figures, share, console)
            await _attempt(", ".join(wanted), region, figures, console)
    for name, measure in (
        ("sync", _sync),
        ("webhooks", _webhooks),
        ("functions", _functions),
        ("lake", _lake),
        ("history", _history),
        ("studio", _studio),
    ):
        if name in parts:
            await _attempt(name, measure(figures, share, console), figures, console)
    return figures


async def _studio(figures: dict[str, Any], share: int, console: Console) -> None:
    console.print(f"studio: {await studio.studio(REGION, figures, share)}")


async def _functions(figures: dict[str, Any], share: int, console: Console) -> None:
    found = figures["functions"] = await functions.functions(REGION, share)
    figures["judged"] |= {
        "a function's cold start p99 ms": found["cold_start_ms"]["p99"],
        "a warm call of a function beyond a handler p50 ms": found["warm_beyond_handler_ms"],
    }
    console.print(f"functions: {found}")


async def _webhooks(figures: dict[str, Any], share: int, console: Console) -> None:
    found = await webhooks.webhooks(REGION, figures, share)
    console.print(f"webhooks: {found}")


async def _sync(figures: dict[str, Any], share: int, console: Console) -> None:
    prices = figures["sync"] = await sync_prices(REGION, commits=3_000 // share)
    for interval, price in prices.items():
        for how, one in (("one after another", price.alone), (f"{AT_ONCE} at once", price.together)):
            took = f"{one.rate:,.0f}/s, p50 {one.p50:.1f} ms, p99 {one.p99:.1f} ms"
            console.print(f"sync_interval {interval}, commits {how}: {took}")
    rare, always = prices["2m"], prices[ALWAYS]
    figures["judged"] |= {
        "commits a second with sync_interval always / with 2m": always.together.rate / rare.together.rate,
        "a lone commit p99 ms, sync_interval always": always.alone.p99,
    }


async def _lake(figures: dict[str, Any], share: int, console: Console) -> None:
    found = await lake(REGION, figures, share)
    console.print(f"lake: {found}")


async def _history(figures: dict[str, Any], share: int, console: Console) -> None:
    found = await history(REGION, figures, share)
    console.print(f"history: {found}")


async def _attempt(name: str, measuring: Awaitable[None], figures: dict[str, Any], console: Console) -> None:
    try:
        await measuring
    except Exception as error:  # noqa: BLE001  whatever it is, the other parts are measured and all figures shown
        figures["failed"][name] = repr(error)
        console.print(f"[red]{name} failed:[/red] {error!r}")


async def _region(parts: list[str], abandon_after: str, figures: dict[str, Any], share: int, console: Console) -> None:
    """A fresh region of three servers with every service, in which nothing holds or caps the probes' offers."""
    settings = {
        "CARTMESH_ABANDON_AFTER": abandon_after,
        **WITHOUT_LIMITS,
        "CARTMESH_ADDRESS_RATE": "1000000",
    }
    async with (
        built((REGION,), nodes=3, environment=settings) as environment,
        connected(environment.gateways[REGION], environment.key) as http,
    ):
        bench = writes.Bench(environment, http, REGION)
        measures = {
            "latency": lambda: _latency(latency.Probe(environment, http, REGION), figures, share, console),
            "redemption": lambda: _redemption(environment, figures, share, console),
            "ingest": lambda: writes.ingest(bench, figures, share, console),
            "cost": lambda: writes.cost_card(bench, figures, share, console),
            "growth": lambda: writes.growth(bench, figures, share, console),
            "memory": lambda: _memory(bench, figures, console),
        }
        for part in parts:
            await _attempt(part, measures[part](), figures, console)


async def _redemption(environment: Environment, figures: dict[str, Any], share: int, console: Console) -> None:
    found = figures["redemption_ms"] = await redemption(environment, REGION, codes=1000 // share)
    figures["judged"]["a code reserved or redeemed p99 ms"] = found["p99"]
    console.print(f"codes: {found}")


async def _memory(bench: writes.Bench, figures: dict[str, Any], console: Console) -> None:
    figures["memory_mb"] = held(bench.up, REGION)
    figures["judged"]["memory of a region's services MB"] = figures["memory_mb"]["all"].pss
    console.print(f"memory: {figures['memory_mb']['all']}")


async def _audiences(figures: dict[str, Any], share: int, console: Console) -> None:
    found = figures["audiences"] = await audience_rate(share)
    figures["judged"]["carts a second for 1,000 journeys of 100 conditions"] = found["carts_per_second"]
    console.print(f"audiences: {found}")


async def _library(figures: dict[str, Any], share: int, console: Console) -> None:
    async with LocalServers(Topology.of((REGION,))) as servers:
        publish, consume = await compare(servers.credentials(REGION), messages=20_000 // share)
    if consume.skipped:
        console.print(f"without FastStream: {consume.skipped}")
    figures["judged"] |= {
        "mesh consume / raw fetch + ack": consume.to_raw,
        "mesh consume / FastStream": consume.to_faststream,
        "mesh publish / raw publish_async": publish.to_raw,
    }
    figures["events_per_second"] = {"publish": publish, "consume": consume}
    console.print(f"publish: mesh {publish.mesh:,.0f}/s, raw {publish.raw:,.0f}/s")
    rival = f"{consume.faststream:,.0f}/s" if consume.faststream else "-"
    console.print(f"consume: mesh {consume.mesh:,.0f}/s, raw {consume.raw:,.0f}/s, FastStream {rival}")


async def _latency(probe: latency.Probe, figures: dict[str, Any], share: int, console: Console) -> None:
    pending = 0
    found: dict[str, Any] = {}
    figures["latency_ms"] = found
    for wanted in PENDING:
        await latency.pend(probe.mesh, wanted - pending)
        pending = wanted
        lone = wanted == 0
        probes = max(10, (20 if lone else 200) // share)
        due = await probe.offers(probes=probes, rate=1.0 if lone else 20.0)
        score = await probe.scores(seconds=10 / min(share, 4), rate=500)
        found[str(wanted)] = {"due_to_smtp": due, "event_to_score": score}
        console.print(f"{wanted:,} timers pending: due to SMTP {due}, event to score {score}")
    rush = await probe.scores(seconds=10 / min(share, 4), rate=2000)
    console.print(f"at 2,000 events/s: event to score {rush}")
    figures["judged"] |= {
        "a lone timer, due to SMTP p50 ms": found["0"]["due_to_smtp"]["p50"],
        "due to SMTP p99 ms, 50,000 timers pending": found["50000"]["due_to_smtp"]["p99"],
        "event to score p99 ms, 500 events/s": found["50000"]["event_to_score"]["p99"],
        "event to score p99 ms, 2,000 events/s": rush["p99"],
    }
