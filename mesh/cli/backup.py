"""Commands `cartmesh backup` and `cartmesh restore`: a region in files, and a region from files."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from mesh.settings import read_secret

if TYPE_CHECKING:
    from mesh.broker.connection import Connection
    from mesh.topology.access import Access

KEY = "CARTMESH_BACKUP_KEY"


def commands(app: App) -> None:
    """Add them to the root command."""
    app.command(backup)
    app.command(restore)


def backup(*, region: str, to: str, keep: int | None = None, servers: Path | None = None) -> None:
    """Save everything a region holds, encrypted with the secret in CARTMESH_BACKUP_KEY; services may run meanwhile.

    Parameters
    ----------
    region
        Which.
    to
        The folder in which a folder is made, named by region and time; or s3://BUCKET/PREFIX, with credentials,
        AWS_REGION and AWS_ENDPOINT_URL in the environment.
    keep
        How many backups of this region to keep there; older ones are deleted once this one is complete.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    """
    from mesh.operations.backup import back_up, forget_older, size_of  # noqa: PLC0415  what a command needs is loaded when it runs
    from mesh.topology.access import Access  # noqa: PLC0415  the same

    secret, began = read_secret(KEY, os.environ.get(KEY)), monotonic()

    async def work() -> None:
        async with AsyncExitStack() as stack:
            connection = await connected(stack, Access.find(servers), region)
            made, contents = await back_up(connection, to, secret)
        for older in await forget_older(to, region, keep) if keep else ():
            print(f"{older} deleted")
        messages = sum(one.state["messages"] for one in contents.streams)
        print(
            f"{made}: {len(contents.streams)} streams with {messages:,} messages, {len(contents.places)} durables, "
            f"{await size_of(made) / 1e6:,.1f} MB, {monotonic() - began:.1f} s"
        )

    asyncio.run(work())


def restore(
    backup: str,
    *,
    region: str,
    force: Annotated[Sequence[str], Parameter(negative=())] = (),
    without: Annotated[Sequence[str], Parameter(negative=())] = (),
    servers: Path | None = None,
    file: Path = Path("mesh.toml"),
) -> None:
    """Make a region what it was when a backup was begun; then get back what other regions received of it since.

    Its services must not run. Afterwards `cartmesh mesh apply` brings it to what is declared now.

    Parameters
    ----------
    backup
        Where it is: TO/<region>-<time>, a folder or below s3://BUCKET. CARTMESH_BACKUP_KEY is the secret it was made
        with.
    region
        Which.
    force
        Once for each stream that holds messages and may be replaced.
    without
        Once for each other region that is not asked. What it alone received since the backup does not come back, and
        new events are copied there only once there are more of them than it has.
    servers
        Where the mesh is, all regions of it, as for `backup`.
    file
        The topology.
    """
    from mesh.operations.restore import restore as restore_region  # noqa: PLC0415  see above
    from mesh.topology.access import Access  # noqa: PLC0415
    from mesh.topology.mesh_toml import Topology  # noqa: PLC0415

    secret, began = read_secret(KEY, os.environ.get(KEY)), monotonic()
    topology = Topology.load(file)
    for name in (region, *without):
        topology.region(name)

    async def work() -> None:
        access = Access.find(servers)
        async with AsyncExitStack() as stack:
            connection = await connected(stack, access, region)
            asked = [name for name in topology.others(region) if name not in without]
            others = [await connected(stack, access, name) for name in asked]
            done = await restore_region(connection, backup, secret, topology, others, force=force)
        for name, messages in done.streams.items():
            print(f"{region}: {name}: {messages:,} messages")
        for name, messages in done.returned.items():
            others_had = f"of {done.passed_over[name]:,} messages since"
            print(f"{region}: {name}: {messages:,} events came back from other regions, {others_had}")
        print(f"{region}: {done.durables} durables, {monotonic() - began:.1f} s. Now: cartmesh mesh apply")

    asyncio.run(work())


async def connected(stack: AsyncExitStack, access: "Access", region: str) -> "Connection":
    """A region's operator, connected until the stack closes."""
    from mesh.broker.connection import Connection  # noqa: PLC0415  see above

    connection = await Connection.open(access.login(region), name="cartmesh-backup")
    stack.push_async_callback(connection.drain)
    return connection
