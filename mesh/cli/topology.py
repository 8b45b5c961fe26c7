"""Commands `cartmesh mesh show | check | render | apply | remove-server | probe`, and those of sibling modules."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from mesh.broker.connection import Connection, Login
from mesh.cli import deployment as deploy
from mesh.cli import region as whole_region
from mesh.errors import DeclarationError, TopologyError
from mesh.event import declared
from mesh.runtime.discovery import GROUP, declare_events, discover
from mesh.topology.access import Access
from mesh.topology.check import check, contracts, lost
from mesh.topology.derive.two_releases import running_users
from mesh.topology.derive.variables import settings_of
from mesh.topology.mesh_toml import Topology
from mesh.topology.render import FOLDER, chart_folder, charted, committed, helm, rendered, stale, write
from mesh.topology.secrets import NEXT, OPERATOR, SYSTEM

FILE = Path("mesh.toml")


def commands(app: App) -> None:
    """Add the group `mesh`."""
    group = App(name="mesh", help="The topology: what is declared, what is derived from it, what the servers hold.")
    group.command(show)
    group.command(check_declarations, name="check")
    group.command(render)
    group.command(apply_declarations, name="apply")
    group.command(remove_server)
    group.command(probe_region, name="probe")
    deploy.commands(group)
    whole_region.commands(group)
    app.command(group)


def show(*, file: Path = FILE) -> None:
    """Show regions, links, streams, services, and who publishes what."""
    from rich.console import Console  # noqa: PLC0415  only what shows needs it

    from mesh.cli.overview import tables  # noqa: PLC0415  the same

    console = Console()
    for table in tables(Topology.load(file), discover()):
        console.print(table)


def check_declarations(*, file: Path = FILE, folder: Path = FOLDER) -> None:
    """Judge everything that is declared, without a server. Ends with 1 where something must not be deployed."""
    topology, services = Topology.load(file), discover()
    report = check(topology, services, committed(folder))
    for note in report.notes:
        _say(f"note: {note}")
    for warning in report.warnings:
        _say(f"warning: {warning}")
    for error in report.errors:
        _say(f"error: {error}")
    _say(
        f"{len(topology.regions)} regions, {len(services)} services, {len(list(declared()))} events: "
        f"{len(report.errors)} errors, {len(report.warnings)} warnings"
    )
    if report.errors:
        sys.exit(1)


def render(
    *,
    region: str | None = None,
    to: Annotated[Literal["helm"] | None, Parameter(name="--for")] = None,
    store: str = "50Gi",
    issuer: str = "",
    before: Path | None = None,
    login: Literal["", "next"] = "",
    monitoring: str = "",
    check: bool = False,
    unreleased: bool = False,
    file: Path = FILE,
    folder: Path = FOLDER,
) -> None:
    """Write everything derived to the folder; or, with `--region eu --for helm`, print values for the chart of NATS.

    Parameters
    ----------
    region
        Whose servers the values are for.
    to
        `helm`: values of the official chart `nats` 2.x, for a release called `nats`.
    store
        Each server's disk.
    issuer
        The ClusterIssuer of cert-manager that makes the servers' certificates; without it the Secret `nats-tls` does.
    before
        The permissions.json that the running release was rendered with: its pods may go on with what they do. For an
        upgrade; without it, once all pods are new, permissions are those of the new release alone.
    login
        `next` where links use the second logins, while passwords are changed (`mesh secrets --switch`).
    monitoring
        The namespace of Prometheus, which alone may read the metrics of the servers' pods.
    check
        Write nothing: say what is stale, and end with 1 if something is.
    unreleased
        Let an event change under the same version. Right only while nobody has stored any.
    file
        The topology.
    folder
        Where to; what the chart reads goes to `chart/derived` beside it.
    """
    topology, services = Topology.load(file), discover()
    if to or region:
        if not (to and region):
            raise TopologyError("write both: --region NAME --for helm")
        running = running_users(before, region) if before else None
        options = {"store": store, "issuer": issuer, "login": login and NEXT, "monitoring": monitoring}
        _say(helm(topology, services, region, before=running, **options).rstrip())
        return
    chart, written = chart_folder(folder), file.read_text(encoding="utf-8")
    values = chart.parent / "values.yaml"
    known = values.read_text(encoding="utf-8") if values.exists() else ""
    settings = settings_of({"mesh", *(found.value for found in entry_points(group=GROUP))})
    known_before = committed(folder)
    folders = {
        folder: rendered(topology, services, known_before),
        chart: charted(services, settings, written=written, values=known, before=known_before),
    }
    if check:
        _say_stale([where / path for where, files in folders.items() for path in stale(files, where)], folder)
        return
    # A folder that is new holds no older versions, and nobody can take any back.
    broken = contracts(known_before) + (lost(known_before) if known_before.schemas else [])
    if broken and not unreleased:
        raise DeclarationError("\n".join(broken))
    for where, files in folders.items():
        for path in write(files, where):
            _say(f"wrote {where / path}" if path in files else f"removed {where / path}")


def _say_stale(paths: Sequence[Path], folder: Path) -> None:
    for path in paths:
        _say(f"stale: {path}")
    if paths:
        _say("run `make render` and commit what it wrote")
        sys.exit(1)
    _say(f"{folder} is fresh")


def apply_declarations(
    *,
    region: Sequence[str] = (),
    force: Annotated[Sequence[str], Parameter(negative=())] = (),
    take_over: Annotated[Sequence[str], Parameter(negative=())] = (),
    expand: Annotated[bool, Parameter(negative=())] = False,
    dry_run: bool = False,
    servers: Path | None = None,
    file: Path = FILE,
) -> None:
    """Bring the servers to what is declared and say what differed. Nothing is lost without --force.

    Parameters
    ----------
    region
        Only these regions.
    force
        Once for each thing that may lose something: a stream that may keep less or fewer copies, or that nobody
        declares and may be deleted (COMMERCE_eu), such a durable (COMMERCE_eu/offers-decide), or `servers` where
        mesh.toml has fewer than run.
    take_over
        OLD=NEW, once for each renamed handler: the durable NEW begins where OLD is. What comes in while both releases
        run is handled by both.
    expand
        Only make what is missing; change nothing that is there, as an older release must not.
    dry_run
        Only say what would be done.
    servers
        The `servers.json` of an embedded mesh; without it `CARTMESH_NATS_URL_<REGION>` (several with
        commas) and `CARTMESH_NATS_PASSWORD_<REGION>` say where and how the operator connects.
    file
        The topology.
    """
    topology = Topology.load(file)
    names = tuple(region) or topology.names
    for name in names:
        topology.region(name)
    access = Access.find(servers)
    asyncio.run(
        _apply(topology, access, names, force=force, take_over=_pairs(take_over), expand=expand, dry_run=dry_run)
    )


def _pairs(written: Sequence[str]) -> dict[str, str]:
    """OLD=NEW as a mapping."""
    if wrong := [one for one in written if not all(one.partition("="))]:
        raise TopologyError(f"--take-over {wrong[0]}: write OLD=NEW")
    return dict(one.split("=", 1) for one in written)


async def _apply(topology: Topology, access: Access, names: Sequence[str], *, dry_run: bool, **manner: Any) -> None:
    from mesh.topology.apply import apply  # noqa: PLC0415  the other commands need no server

    async with AsyncExitStack() as stack:
        connections = {name: await opened(stack, access.login(name)) for name in names}
        systems = {name: await opened(stack, access.login(name, SYSTEM)) for name in names if access.has(name, SYSTEM)}
        differences = await apply(topology, discover(), connections, systems=systems, dry_run=dry_run, **manner)
    for difference in differences:
        _say(str(difference))
    _say(f"{len(differences)} differences{' (nothing was done)' if dry_run else ''}")


def remove_server(server: str, *, region: str, servers: Path | None = None) -> None:
    """Take a server out of its region for good, while it runs: every copy it holds moves to the others first.

    To give a region fewer servers, do this for each one before it is shut down; then write fewer `nodes` in mesh.toml.

    Parameters
    ----------
    server
        Its name: eu-nats-4, or eu-5 of an embedded mesh.
    region
        Where.
    servers
        As for `apply`; without it `CARTMESH_NATS_SYS_PASSWORD_<REGION>` is needed too.
    """
    from mesh.topology.meta_group import remove  # noqa: PLC0415  the other commands need no server

    async def work() -> None:
        access = Access.find(servers)
        async with AsyncExitStack() as stack:
            system = await opened(stack, access.login(region, SYSTEM))
            moved = await remove(system, await opened(stack, access.login(region)), server)
        _say(f"{region}: {server} is out, {moved} copies stand elsewhere; shut it down and forget its disk")

    asyncio.run(work())


async def opened(stack: AsyncExitStack, login: Login) -> Connection:
    """A connection that is drained when the stack closes."""
    connection = await Connection.open(login, name="cartmesh-apply")
    stack.push_async_callback(connection.drain)
    return connection


def probe_region(
    url: str,
    *,
    region: str,
    body: str,
    awaits: str,
    within: float = 30.0,
    servers: Path | None = None,
) -> None:
    """Send one event to a service's HTTP interface and wait for its outcome. Ends with 1 where it does not come.

    Parameters
    ----------
    url
        Where to post; CARTMESH_PROBE_KEY is the write key.
    region
        In whose log the outcome is looked for.
    body
        What to post, in JSON: PROBE stands for a fresh key, NOW for the time.
    awaits
        The wire type of the outcome, such as user.scored.v1; its key is the probe's.
    within
        Seconds it may take.
    servers
        As for `apply`.
    """
    from mesh.operations.probe import probe  # noqa: PLC0415  the other commands need no broker
    from mesh.topology.connect import connect  # noqa: PLC0415  the same

    declare_events()

    async def work() -> None:
        access = Access.find(servers)
        mesh = await connect(access, region, OPERATOR, patience=within)
        key = os.environ.get("CARTMESH_PROBE_KEY", "")
        try:
            done = await probe(mesh, url, body=body, key=key, awaits=awaits, within=timedelta(seconds=within))
        finally:
            await mesh.broker.drain()
        _say(f"{done.key}: {awaits} after {done.took.total_seconds():.3f} s")

    asyncio.run(work())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
