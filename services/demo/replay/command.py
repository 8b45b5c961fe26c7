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
from mesh.shop_logs.account import Account
from mesh.shop_logs.style import Style
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
    style: Style = field(default_factory=Style)

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
    """Replay, print the figures, write them; 0 when every promise was kept and all came to its end, else 1.

    UnreadableLog, before anything is started, for a file that is no log.
    """
    import uvloop  # noqa: PLC0415  only what runs a mesh needs it

    configure_logs(level="ERROR")
    console = Console()
    log = read_log(plan.file, currency=plan.currency, limit=plan.limit, style=plan.style)
    for line in log.account.lines():
        console.print(f"{plan.file.name}: {line}", markup=False)
    if not log.rows:
        console.print(f"{plan.file} has no rows that a storefront could send", markup=False)
        return 1
    evidence, left = uvloop.run(_run(plan, log.rows, console))
    figures = report(evidence) | {"log": figures_of(log.account)}
    console.print(figures_table(figures))
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2))
    if ledger:
        console.print(f"{ledgers.write(evidence, ledger)} rows: {ledger}")
    return print_verdict(console, figures, left, log.account)


def figures_of(account: Account) -> dict[str, Any]:
    """Rows read, used and left out, as the report has them."""
    left_out = {reason.why: {"rows": reason.count, "first": reason.places} for reason in account.left_out}
    return {"rows": account.rows, "used": account.used, "left_out": left_out, "notes": account.notes}


def print_verdict(console: Console, figures: dict[str, Any], left: str | None, account: Account) -> int:
    """Print what is wrong, if anything is, and for how many rows of the file it holds; 1 when something is, else 0."""
    wrong = [*([left] if left else []), *broken(figures)]
    for line in wrong:
        console.print(f"[red]broken:[/red] {line}")
    missing = account.rows - account.used
    if not wrong:
        rows = f" for the {account.used} of {account.rows} rows that were used" if missing else ""
        console.print(f"[green]every promise was kept{rows}[/green]")
    if missing:
        console.print(f"[yellow]{missing} rows were left out, for the reasons at the top[/yellow]")
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
