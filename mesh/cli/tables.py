"""Tables: what operators look at in a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from mesh.broker.protocol import Message
from mesh.broker.server_version import other_version
from mesh.dead_letters import DeadLetter
from mesh.operations.status import RegionStatus

STALE_S = 5.0


def show_status(regions: Sequence[RegionStatus], console: Console | None = None) -> None:
    """Regions, then what deserves a look: streams and consumers with lag."""
    out = console or Console()
    table = Table("region", "nodes", "streams", "messages", "max lag", "stale towards", "dead", title="regions")
    for one in regions:
        stale = ", ".join(
            f"{name} {'no event yet' if age is None else f'{age.total_seconds():.1f} s'}"
            for name, age in one.staleness.items()
            if age is None or age.total_seconds() > STALE_S
        )
        lag = max((consumer.lag for consumer in one.consumers), default=0)
        table.add_row(
            one.region,
            f"{one.nodes_up}/{one.nodes}",
            str(len(one.streams)),
            f"{sum(stream.messages for stream in one.streams):,}",
            f"{lag:,}",
            one.error or stale or "-",
            str(one.dead),
        )
    out.print(table)
    for one in regions:
        out.print(_streams(one))
        out.print(_consumers(one))
        for wrong in (*_wrong_servers(one), *_wrong_consumers(one)):
            out.print(f"{one.region}: {wrong}", markup=False, soft_wrap=True)


def _wrong_servers(one: RegionStatus) -> list[str]:
    """Servers of another version than the tested one."""
    return [
        f"{node}: {warning}"
        for node, version in one.versions.items()
        if version and (warning := other_version(version))
    ]


def _wrong_consumers(one: RegionStatus) -> list[str]:
    """What is not as it is declared, and what to do."""
    outdated = [f"{consumer.stream}/{consumer.name}" for consumer in one.consumers if consumer.outdated]
    return [
        *(f"{name} does not deliver what is declared: cartmesh mesh apply restores it" for name in outdated),
        *(f"{name} is declared and not there: cartmesh mesh apply makes it" for name in one.missing),
    ]


def show_dead_letters(
    region: str, dead_letters: Sequence[tuple[int, DeadLetter]], console: Console | None = None
) -> None:
    """A region's dead letters."""
    table = Table("no.", "given up by", "subject", "attempts", "reason", title=f"dead letters in {region}")
    for number, one in dead_letters:
        table.add_row(str(number), one.durable, one.subject, str(one.attempts), one.reason[:200])
    (console or Console()).print(table if dead_letters else f"{region}: no dead letters")


def show_dead_letter(number: int, found: tuple[DeadLetter, Message], console: Console | None = None) -> None:
    """One dead letter whole."""
    one, message = found
    out = console or Console()
    out.print(f"[b]{number}[/b] given up by {one.durable} after {one.attempts} attempts, stored {one.stored}")
    out.print(f"subject  {one.subject} (sequence {one.sequence})", markup=False)
    out.print(f"reason   {one.reason}", markup=False)
    out.print(message.body.decode("utf-8", "replace"), markup=False)
    if one.trace:
        out.print(one.trace, markup=False)


def _streams(one: RegionStatus) -> Table:
    table = Table("stream", "messages", "MB", "leader", "copies", "silent sources", title=f"{one.region}: streams")
    for stream in one.streams:
        table.add_row(
            stream.name,
            f"{stream.messages:,}",
            f"{stream.bytes / 1e6:,.1f}",
            stream.leader,
            f"{stream.current}/{stream.replicas}",
            ", ".join(stream.silent_sources) or "-",
        )
    return table


def _consumers(one: RegionStatus) -> Table:
    table = Table("consumer", "stream", "lag", "ack pending", "redelivered", title=f"{one.region}: consumers")
    for consumer in one.consumers:
        table.add_row(
            consumer.name, consumer.stream, f"{consumer.lag:,}", f"{consumer.ack_pending:,}", str(consumer.redelivered)
        )
    return table
