"""The command `cartmesh import`: from a file and its mapping to what became of each row."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from rich.console import Console

from mesh.errors import Unavailable
from mesh.shop_logs.source import source
from services.connect.history.importing import Import, Tally
from services.connect.history.journal import Journal
from services.connect.history.mapping import read_mapping
from services.connect.history.sending import Sender

SAY_EVERY = 5.0
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to import, by which mapping, and where to."""

    file: Path
    mapping: Path
    gateway: str
    key: str
    journal: Path | None = None
    refused: Path | None = None
    patience: timedelta = timedelta(minutes=10)


def run_import(plan: Plan, console: Console) -> int:
    """Import; 0 when every row is stored, 1 when some are bad, 2 when the gateway could not take all of them."""
    mapping = read_mapping(plan.mapping)
    listing = plan.refused or plan.file.with_name(f"{plan.file.name}.refused.tsv")
    listing.unlink(missing_ok=True)
    tally, began = Tally(listing), monotonic()
    with TemporaryDirectory(prefix="cartmesh-") as folder:
        found = source(plan.file, Path(folder))
        for note in found.notes:
            console.print(f"{plan.file.name}: {note}", markup=False)
        journal = Journal(plan.journal or plan.file.with_name(f"{plan.file.name}.imported"), plan.gateway)
        try:
            error = asyncio.run(_send(Import(found, mapping, journal, _sender(plan), tally), console))
        finally:
            journal.close()
    _report(tally, console, monotonic() - began, found.unit)
    if error is not None:
        console.print(f"[red]not finished:[/red] {error}; the same command again goes on where this one ended")
        return 2
    return 1 if tally.bad else 0


def _sender(plan: Plan) -> Sender:
    return Sender(plan.gateway, plan.key, patience=plan.patience)


async def _send(work: Import, console: Console) -> str | None:
    said = monotonic()

    def say(tally: Tally) -> None:
        nonlocal said
        if monotonic() - said >= SAY_EVERY:
            said = monotonic()
            console.print(f"{tally.read} rows read, {tally.imported} events stored", markup=False)

    try:
        await work.run(say)
    except Unavailable as error:
        return str(error)
    finally:
        await work.close()
    return None


def _report(tally: Tally, console: Console, seconds: float, unit: str) -> None:
    orders = f", {tally.orders} of them orders" if tally.orders else ""
    lines = [
        f"{tally.read} rows read in {seconds:.1f} s",
        f"{tally.imported} events stored{orders}",
        f"{tally.doubled} rows stand in the file more than once and were stored once",
        f"{tally.before} were imported before",
        f"{tally.bad} rows are bad" + (f": {tally.listing}" if tally.bad else ""),
    ]
    if tally.looked_up:
        lines.append("some of the first rows had been imported without this journal, so each row was looked up")
    for reason, count in tally.reasons.most_common(20):
        places = ", ".join(f"{unit} {line}" for line in tally.places[reason])
        lines.append(f"  {count}: {reason} ({places}{', ...' if count > len(tally.places[reason]) else ''})")
    for line in lines:
        console.print(line, markup=False, highlight=False)
