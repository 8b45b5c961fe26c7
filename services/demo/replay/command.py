"""The command `cartmesh replay`: from the first row of a log to the report."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
from rich.console import Console

from mesh.errors import DeclarationError
from mesh.observability.logs import configure_logs
from mesh.settings import duration
from services.demo.replay import ledger as ledgers
from services.demo.replay.client import Client
from services.demo.replay.collector import Collector
from services.demo.replay.environment import KEY, Environment, borrowed, built
from services.demo.replay.evidence import Evidence
from services.demo.replay.replay import play, settings_for
from services.demo.replay.report import broken, report
from services.demo.replay.settle import settle
from services.demo.replay.shop_log import Row, read_log
from services.demo.replay.storefront_events import Storefront
from services.demo.replay.tables import figures_table


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to replay, where and how; see the command `replay`."""

    file: Path
    speed: float = 200
    abandon_after: str = "30m"
    regions: tuple[str, ...] = ("us", "eu", "ap")
    nodes: int = 3
    limit: int | None = None
    currency: str = "USD"
    patience: str = "5m"
    servers: Path | None = None
    gateways: dict[str, str] = field(default_factory=dict)
    record: Path | None = None
    key: str = KEY

    def opened(self) -> AbstractAsyncContextManager[Environment]:
        """The mesh to play on."""
        if self.servers is None:
            settings = settings_for(speed=self.speed, abandon_after=duration(self.abandon_after))
            return built(self.regions, nodes=self.nodes, environment=settings)
        if not self.gateways or self.record is None:
            raise DeclarationError(
                "--servers needs --gateway REGION=URL for each region, and --record FILE of the inbox"
            )
        return borrowed(self.servers, self.gateways, record=self.record, key=self.key)


def run_replay(plan: Plan, *, json: Path | None = None, ledger: Path | None = None) -> int:
    """Replay, print the figures, write them; 0 when every promise was kept and all came to its end, else 1."""
    import uvloop  # noqa: PLC0415  only what runs a mesh needs it

    configure_logs(level="ERROR")
    console = Console()
    log = read_log(plan.file, currency=plan.currency, limit=plan.limit)
    if not log:
        console.print(f"{plan.file} has no rows that a storefront could send")
        return 1
    evidence, left = uvloop.run(_run(plan, log, console))
    figures = report(evidence)
    console.print(figures_table(figures))
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))
    if ledger:
        console.print(f"{ledgers.write(evidence, ledger)} rows: {ledger}")
    return print_verdict(console, figures, left)


def print_verdict(console: Console, figures: dict[str, Any], left: str | None) -> int:
    """Print what is wrong, if anything is; 1 then, else 0."""
    wrong = [*([left] if left else []), *broken(figures)]
    for line in wrong:
        console.print(f"[red]broken:[/red] {line}")
    if not wrong:
        console.print("[green]every promise was kept[/green]")
    return 1 if wrong else 0


async def _run(plan: Plan, log: list[Row], console: Console) -> tuple[Evidence, str | None]:
    place = f"sending to {', '.join(plan.gateways)}" if plan.gateways else f"starting {', '.join(plan.regions)}"
    console.print(f"{len(log)} rows of {plan.file.name}; {place} ...")
    async with plan.opened() as environment:
        return await replay_on(environment, plan, log, console)


async def replay_on(
    environment: Environment, plan: Plan, log: list[Row], console: Console
) -> tuple[Evidence, str | None]:
    """Play a log in an environment and wait for its end: the evidence, and what was left when patience ended."""
    collector = await Collector.begin(environment.meshes, environment.record, nodes=environment.nodes)
    storefront = Storefront(run=f"r{token_hex(4)}", currency=plan.currency)
    progress = Progress(console, len(log))
    async with Client(environment.gateways, key=environment.key) as client:
        worst = await play(log, storefront, client, speed=plan.speed, say=progress.sent)
        console.print(f"sent {len(client.sent)} events; at most {worst:.1f} s behind the log")
        waiting = progress.settling
        left = await settle(collector, client.sent, patience=_patience(plan), say=waiting)
    return collector.finish(client.sent), left


def _patience(plan: Plan) -> timedelta:
    return duration(plan.patience)


class Progress:
    """Tells how far a replay is: a line every few seconds, the same on a terminal and in a log."""

    EVERY = 5.0

    def __init__(self, console: Console, rows: int) -> None:
        self._console, self._rows, self._next = console, rows, 0.0

    def sent(self, done: int, lag: float) -> None:
        """`done` rows were handed over, at most `lag` seconds late."""
        self._print(f"{done} of {self._rows} rows sent, {lag:.1f} s behind")

    def settling(self, left: str) -> None:
        """What is still to come."""
        self._print(f"waiting: {left}")

    def _print(self, line: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next:
            self._next = now + self.EVERY
            self._console.print(line)
