"""Commands that run a mesh and look after it: up, run, status, dead, rebuild."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from mesh.broker.connection import Connection

TOPOLOGY = Path("mesh.toml")


def commands(app: App) -> None:
    """Add them to the root command."""
    app.command(run)
    app.command(up)
    app.command(status)
    app.command(rebuild)
    dead = App(name="dead", help="Messages that could not be handled: look at them, handle them again.")
    dead.command(dead_list, name="list")
    dead.command(dead_show, name="show")
    dead.command(dead_redrive, name="redrive")
    app.command(dead)


def run(
    *names: str,
    region: str,
    servers: Path | None = None,
    topology: Path = TOPOLOGY,
) -> None:
    """Run services of one region in this process until it is asked to stop.

    Parameters
    ----------
    names
        Services to run; all of them when none is named.
    region
        The region they belong to.
    servers
        The servers.json of an embedded mesh; else `CARTMESH_NATS_URL` and
        `CARTMESH_<SERVICE>_PASSWORD` are read.
    topology
        The mesh.toml.
    """
    from mesh.runtime.worker import run_until_stopped  # noqa: PLC0415  uvloop and all services

    run_until_stopped(names, region, servers, topology)


def up(
    *,
    regions: str | None = None,
    nodes: int | None = None,
    dir: Path | None = None,
    topology: Path = TOPOLOGY,
    abandon_after: str | None = None,
    url: Annotated[list[str] | None, Parameter(negative=())] = None,
) -> None:
    """Start the whole mesh on this machine: servers, every service in every region, and the inbox.

    Parameters
    ----------
    regions
        Only these, separated by commas.
    nodes
        Servers per region: 1, 3 or 5.
    dir
        Where data, logs and servers.json are kept; a temporary folder when not given.
    topology
        The mesh.toml.
    abandon_after
        How long a cart rests before it counts as left (30m, 20s).
    url
        Use existing servers instead: REGION=URL, once per region, without passwords.
    """
    from mesh.cli.up import keep_up  # noqa: PLC0415  uvloop, rich and all services

    only = tuple(part.strip() for part in regions.split(",")) if regions else ()
    environment = {"CARTMESH_ABANDON_AFTER": abandon_after} if abandon_after else {}
    keep_up(topology, only, nodes, dir, environment, dict(pair.split("=", 1) for pair in url or ()))


def status(*, servers: Path | None = None, all: bool = False, json: bool = False) -> None:
    """Show regions, their nodes, services with restarts, lag, staleness and dead letters, and what is wrong.

    Parameters
    ----------
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    all
        Also each service, process, stream and consumer.
    json
        Print JSON instead of tables: always all of it.
    """
    import msgspec  # noqa: PLC0415

    from mesh.cli.tables import show_status  # noqa: PLC0415
    from mesh.operations.status import status_of  # noqa: PLC0415
    from mesh.runtime.discovery import discover  # noqa: PLC0415  all services
    from mesh.runtime.process_list import listed_in  # noqa: PLC0415
    from mesh.topology.access import Access  # noqa: PLC0415

    found = asyncio.run(status_of(Access.find(servers), discover()))
    if json:
        print(msgspec.json.encode(found).decode())
    else:
        show_status(found, processes=listed_in((servers or Path("servers.json")).parent), whole=all)
    if any(region.error for region in found):
        sys.exit(1)


def rebuild(
    bucket: str, *, region: str, servers: Path | None = None, topology: Path = TOPOLOGY, force: bool = False
) -> None:
    """Empty a projection and build it again from the log, while its service runs.

    Parameters
    ----------
    bucket
        The bucket's name; a wrong one is answered with those that can be rebuilt.
    region
        Where.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    topology
        The mesh.toml.
    force
        Also where neither its streams nor the lake have all events that it was made of: what it has from those is gone
        then. The lake is CARTMESH_LAKE, else the folder `lake` beside servers.json.
    """
    from mesh.lake.settings import beside  # noqa: PLC0415
    from mesh.operations.rebuild import rebuild as rebuild_bucket  # noqa: PLC0415
    from mesh.runtime.discovery import discover  # noqa: PLC0415
    from mesh.topology.mesh_toml import Topology  # noqa: PLC0415

    async def work() -> None:
        async with operator(servers, region) as connection:
            done = await rebuild_bucket(
                connection, Topology.load(topology), discover(), bucket, force=force, lake=beside(servers)
            )
            print(f"{done.bucket} in {done.region}: {done.events} events read, {done.keys} keys")

    asyncio.run(work())


def dead_list(*, region: str | None = None, servers: Path | None = None) -> None:
    """List dead letters with their reasons.

    Parameters
    ----------
    region
        Only this one.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from mesh.cli.tables import show_dead_letters  # noqa: PLC0415
    from mesh.operations.dead_letters import dead_letters  # noqa: PLC0415
    from mesh.topology.access import Access  # noqa: PLC0415

    async def work() -> None:
        for name in [region] if region else list(Access.find(servers).regions):
            async with operator(servers, name) as connection:
                show_dead_letters(name, await dead_letters(connection))

    asyncio.run(work())


def dead_show(sequence: int, *, region: str, servers: Path | None = None) -> None:
    """Show one dead letter whole: reason, trace, and the message.

    Parameters
    ----------
    sequence
        Its number in the list.
    region
        Where it is stored.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from mesh.cli.tables import show_dead_letter  # noqa: PLC0415
    from mesh.operations.dead_letters import dead_letter  # noqa: PLC0415

    async def work() -> None:
        async with operator(servers, region) as connection:
            show_dead_letter(sequence, await dead_letter(connection, sequence))

    asyncio.run(work())


def dead_redrive(
    *sequences: int, region: str, service: str | None = None, dry_run: bool = False, servers: Path | None = None
) -> None:
    """Let the services that gave messages up handle them again; those that succeed are removed.

    Parameters
    ----------
    sequences
        Numbers in the list; all of them when none is named.
    region
        Where they are stored.
    service
        Only those of this service.
    dry_run
        Only say what would be done.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from mesh.operations.dead_letters import redrive  # noqa: PLC0415

    async def work() -> int:
        failed = 0
        async with operator(servers, region) as connection:
            async for number, outcome in redrive(connection, sequences, service=service, dry_run=dry_run):
                print(f"{region} {number}: {outcome or 'handled'}")
                failed += outcome is not None and not dry_run
        return failed

    if asyncio.run(work()):
        sys.exit(1)


@asynccontextmanager
async def operator(servers: Path | None, region: str) -> AsyncIterator["Connection"]:
    """A connection to a region as operator; drained afterwards."""
    from mesh.broker.connection import Connection  # noqa: PLC0415
    from mesh.topology.access import Access  # noqa: PLC0415

    access = Access.find(servers)
    connection = await Connection.open(access.login(region), name="cartmesh-operator")
    try:
        yield connection
    finally:
        await connection.drain()
