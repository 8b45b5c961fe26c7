"""Measure: the parts of the bench one after another, and how they are told."""

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from mesh.broker.benchmark import compare
from mesh.observability.logs import configure_logs
from mesh.runtime.local_servers import LocalServers
from mesh.topology.mesh_toml import Topology
from services.demo.bench import latency
from services.demo.bench.flood import carts, flood, views
from services.demo.bench.memory import held
from services.demo.bench.wire import Wire, gateway
from services.demo.replay.environment import Stage, built

REGION = "us"
PARTS = ("library", "latency", "ingest", "memory")
PENDING = (0, 1_000, 50_000)
TARGETS = {
    "mesh consume / raw fetch + ack": (0.8, ">="),
    "mesh consume / FastStream": (1.5, ">="),
    "mesh publish / raw publish_async": (0.8, ">="),
    "HTTP events acknowledged a second": (3000, ">="),
    "cart commits a second": (2000, ">="),
    "a lone timer, due to SMTP p50 ms": (100, "<="),
    "due to SMTP p99 ms, 50,000 timers pending": (1500, "<="),
    "event to score p99 ms, 500 events/s": (250, "<="),
    "memory of a region's services MB": (600, "<="),
}


def run_bench(*, json: Path | None, quick: bool, only: tuple[str, ...]) -> None:
    """Measure, print, write. ValueError for a part that there is not."""
    import uvloop  # noqa: PLC0415  only what runs a mesh needs it

    if unknown := set(only) - set(PARTS):
        raise ValueError(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    configure_logs(level="ERROR")
    console = Console()
    figures = uvloop.run(_measure(only or PARTS, 10 if quick else 1, console))
    console.print(judged(figures))
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))


def judged(figures: dict[str, Any]) -> Table:
    """What was to be reached and what was, as far as it was measured."""
    table = Table("figure", "target", "measured", "", title="bench: one region of three servers, all on this machine")
    for name, measured in figures["judged"].items():
        target, sign = TARGETS[name]
        reached = measured is not None and (measured >= target if sign == ">=" else measured <= target)
        shown = "-" if measured is None else f"{measured:,.2f}" if measured < 20 else f"{measured:,.0f}"
        table.add_row(name, f"{sign} {target:,}", shown, "[green]reached[/green]" if reached else "[red]missed[/red]")
    return table


async def _measure(parts: tuple[str, ...], share: int, console: Console) -> dict[str, Any]:
    figures: dict[str, Any] = {"judged": {}}
    if "library" in parts:
        await _library(figures, share, console)
    if set(parts) - {"library"}:
        async with built((REGION,), nodes=3, environment=_settings()) as stage:
            async with gateway(stage.gateways[REGION], stage.key) as http:
                if "latency" in parts:
                    await _latency(stage, http, figures, share, console)
                if "ingest" in parts:
                    await _ingest(http, figures, share, console)
            if "memory" in parts and stage.up is not None:
                figures["memory_mb"] = held(stage.up, REGION)
                figures["judged"]["memory of a region's services MB"] = figures["memory_mb"]["all"].pss
                console.print(f"memory: {figures['memory_mb']['all']}")
    return figures


def _settings() -> dict[str, str]:
    """Carts are left after two seconds; nothing holds or caps the probes' offers."""
    return {"CARTMESH_ABANDON_AFTER": "2s", "CARTMESH_JOURNEY_QUIET": "", "CARTMESH_ADDRESS_RATE": "1000000"}


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


async def _ingest(http: Wire, figures: dict[str, Any], share: int, console: Console) -> None:
    await flood(http, views(500))
    figures["ingest"] = {
        "views": await flood(http, views(20_000 // share)),
        "carts": await flood(http, carts(6_000 // share)),
    }
    for what, found in figures["ingest"].items():
        console.print(f"{what}: {found.rate:,.0f}/s, a batch of 10 p50 {found.p50} ms, p99 {found.p99} ms")
    figures["judged"]["HTTP events acknowledged a second"] = figures["ingest"]["views"].rate
    figures["judged"]["cart commits a second"] = figures["ingest"]["carts"].rate


async def _latency(stage: Stage, http: Wire, figures: dict[str, Any], share: int, console: Console) -> None:
    mesh, pending = stage.meshes[REGION], 0
    figures["latency_ms"] = {}
    for wanted in PENDING:
        await latency.pend(mesh, wanted - pending)
        pending = wanted
        lone = wanted == 0
        probes = max(10, (20 if lone else 200) // share)
        due = await latency.offers(stage, http, probes=probes, rate=1.0 if lone else 20.0)
        score = await latency.scores(stage, http, seconds=10 / min(share, 4), rate=500)
        figures["latency_ms"][str(wanted)] = {"due_to_smtp": due, "event_to_score": score}
        console.print(f"{wanted:,} timers pending: due to SMTP {due}, event to score {score}")
    told = figures["latency_ms"]
    figures["judged"] |= {
        "a lone timer, due to SMTP p50 ms": told["0"]["due_to_smtp"]["p50"],
        "due to SMTP p99 ms, 50,000 timers pending": told["50000"]["due_to_smtp"]["p99"],
        "event to score p99 ms, 500 events/s": told["50000"]["event_to_score"]["p99"],
    }
