"""Tables: what operators look at in a terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from mesh.broker.protocol import Message
from mesh.broker.server_version import other_version
from mesh.dead_letters import DeadLetter
from mesh.operations.status import RegionStatus
from mesh.runtime.process_list import ListedProcess

STALE_S = 5.0


def show_status(
    regions: Sequence[RegionStatus],
    console: Console | None = None,
    *,
    processes: Sequence[ListedProcess] = (),
    whole: bool = False,
) -> None:
    """Regions and what is wrong in them; with `whole` also services, processes, streams and consumers."""
    out = console or Console()
    out.print(_regions(regions))
    if whole and processes:
        out.print(_processes(processes))
    for one in regions:
        if whole:
            for table in (_services(one), _streams(one), _consumers(one)):
                out.print(table)
        found = (_wrong_servers(one), _wrong_services(one), _wrong_streams(one), _wrong_consumers(one))
        for wrong in (line for lines in found for line in lines):
            out.print(f"{one.region}: {wrong}", markup=False, soft_wrap=True)
    for wrong in _wrong_processes(processes):
        out.print(wrong, markup=False, soft_wrap=True)
    if not whole:
        out.print("services, streams and consumers: --all", style="dim")


def _regions(regions: Sequence[RegionStatus]) -> Table:
    table = Table("region", "nodes", "services", "restarts", "max lag", "stale towards", "dead", title="regions")
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
            f"{sum(service.state == 'running' for service in one.services)}/{len(one.services)}",
            str(sum(service.restarts for service in one.services)),
            f"{lag:,}",
            stale or "-",
            str(one.dead),
        )
    return table


def _processes(processes: Sequence[ListedProcess]) -> Table:
    table = Table("process", "state", "pid", "restarts", "runs", title="processes on this machine")
    for one in processes:
        runs = ", ".join(one.services) or one.kind
        table.add_row(one.name, one.state, str(one.pid or "-"), str(one.restarts), runs)
    return table


def _services(one: RegionStatus) -> Table:
    table = Table("service", "state", "instances", "since", "restarts", "reported", title=f"{one.region}: services")
    for service in one.services:
        since = min((instance.since for instance in service.instances), default=None)
        table.add_row(
            service.name,
            service.state,
            str(len(service.instances)),
            _moment(since),
            str(service.restarts),
            _moment(service.reported),
        )
    return table


def _moment(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else "-"


def _wrong_services(one: RegionStatus) -> list[str]:
    """Services that should run, and do not report."""
    return [
        f"{service.name} does not run; "
        + (
            f"its last report is of {_moment(service.reported)} UTC"
            if service.reported
            else "it has reported nothing in 30 days"
        )
        for service in one.services
        if service.state == "missing"
    ]


def _wrong_processes(processes: Sequence[ListedProcess]) -> list[str]:
    """What the supervisor of an embedded mesh had to start again, or would have to."""
    if any(one.kind == "up" and one.state in ("gone", "stopped") for one in processes):
        return ["`cartmesh up` does not run here any more: start it with the same --dir, and it goes on"]
    return [
        f"{one.name} is {one.state}, restarts: {one.restarts}; `cartmesh logs {one.name}` says why"
        for one in processes
        if one.restarts or one.state in ("restarting", "gone")
    ]


def _wrong_servers(one: RegionStatus) -> list[str]:
    """No server that answers, and those of another version than the tested one."""
    return [*([one.error] if one.error else []), *_other_versions(one)]


def _other_versions(one: RegionStatus) -> list[str]:
    return [
        f"{node}: {warning}"
        for node, version in one.versions.items()
        if version and (warning := other_version(version))
    ]


def _wrong_streams(one: RegionStatus) -> list[str]:
    """Copies that are behind, and sources that send nothing."""
    behind = [stream for stream in one.streams if stream.current < stream.replicas]
    return [
        *(f"{stream.name}: {stream.current} of {stream.replicas} copies are current" for stream in behind),
        *(f"{stream.name} hears nothing from {source}" for stream in one.streams for source in stream.silent_sources),
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
