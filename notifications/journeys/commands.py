"""Commands for journeys: `cartmesh journeys list | show | history | publish | revert`."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import cyclopts

from mesh.errors import Conflict, TopologyError

if TYPE_CHECKING:
    from mesh import Mesh
    from notifications.journeys.documents import JourneyDocument, Version

SERVERS = Path("servers.json")
T = TypeVar("T")
group = cyclopts.App(name="journeys", help="How left carts are answered: the journeys in force, and their revisions.")


@group.command(name="list")
def list_(*, region: str | None = None, servers: Path = SERVERS) -> None:
    """List the journeys in force.

    Parameters
    ----------
    region
        Where; by default in the first region of the mesh.
    servers
        The servers.json of the mesh.
    """

    async def look(mesh: "Mesh") -> "list[JourneyDocument]":
        from notifications.journeys.documents import JOURNEYS  # noqa: PLC0415  only when it is asked for

        return sorted([one async for _, one in mesh.state(JOURNEYS).items()], key=lambda one: one.journey)

    for document in _run(look, servers, region):
        print(f"{document.journey:<32} revision {document.revision:<4} {_origin(document)}")


@group.command
def show(journey: str, *, revision: int | None = None, region: str | None = None, servers: Path = SERVERS) -> None:
    """Print a journey's document.

    Parameters
    ----------
    journey
        Its name.
    revision
        Which one; by default the one in force.
    region
        Where; by default in the first region of the mesh.
    servers
        The servers.json of the mesh.
    """
    for version in _versions(journey, region, servers):
        chosen = version.state == "in force" if revision is None else version.document.revision == revision
        if chosen:
            print(version.document.source, end="")
            return
    raise SystemExit(f"journey {journey} has no revision {revision}")


@group.command
def history(journey: str, *, region: str | None = None, servers: Path = SERVERS) -> None:
    """List a journey's revisions, newest first, with who published them and which is in force.

    Parameters
    ----------
    journey
        Its name.
    region
        Where; by default in the first region of the mesh.
    servers
        The servers.json of the mesh.
    """
    for version in _versions(journey, region, servers):
        print(f"revision {version.document.revision:<4} {_origin(version.document)}  {version.state}")


@group.command
def publish(
    file: Path, *, journey: str = "", author: str = "", region: str | None = None, servers: Path = SERVERS
) -> None:
    """Publish a TOML file as a journey's next revision. Services in all regions use it from then on.

    Parameters
    ----------
    file
        The document.
    journey
        The journey's name; by default the file's.
    author
        Who publishes; by default who is logged in.
    region
        Where to publish; by default in the first region of the mesh.
    servers
        The servers.json of the mesh.
    """
    source = file.read_text(encoding="utf-8")

    async def work(mesh: "Mesh") -> "JourneyDocument":
        from notifications.journeys import documents  # noqa: PLC0415  only when it is asked for

        return await documents.publish(journey or file.stem, source, author or getpass.getuser(), mesh)

    _published(_run(work, servers, region))


@group.command
def revert(
    journey: str, revision: int, *, author: str = "", region: str | None = None, servers: Path = SERVERS
) -> None:
    """Publish an earlier revision again, as the next one.

    Parameters
    ----------
    journey
        Its name.
    revision
        Which earlier one.
    author
        Who publishes; by default who is logged in.
    region
        Where to publish; by default in the first region of the mesh.
    servers
        The servers.json of the mesh.
    """

    async def work(mesh: "Mesh") -> "JourneyDocument":
        from notifications.journeys import documents  # noqa: PLC0415  only when it is asked for

        return await documents.revert(journey, revision, author or getpass.getuser(), mesh)

    _published(_run(work, servers, region))


def _versions(journey: str, region: str | None, servers: Path) -> "list[Version]":
    async def look(mesh: "Mesh") -> "list[Version]":
        from notifications.journeys import documents  # noqa: PLC0415  only when it is asked for

        return await documents.versions(journey, mesh)

    found = _run(look, servers, region)
    if not found:
        raise SystemExit(f"there is no journey {journey}; `cartmesh journeys list` lists those there are")
    return found


def _published(document: "JourneyDocument") -> None:
    print(f"{document.journey}: revision {document.revision} is in force in {document.region}")


def _origin(document: "JourneyDocument") -> str:
    return f"{document.time:%Y-%m-%d %H:%M:%S} UTC by {document.author} in {document.region}"


def _run(work: Callable[["Mesh"], Awaitable[T]], servers: Path, region: str | None) -> T:
    async def connected() -> T:
        async with _operator(servers, region) as mesh:
            return await work(mesh)

    try:
        return asyncio.run(connected())
    except Conflict:
        raise SystemExit("somebody published this journey meanwhile: look at its history and publish again") from None


@asynccontextmanager
async def _operator(servers: Path, region: str | None) -> AsyncIterator["Mesh"]:
    """The region, connected to as operator. TopologyError lists the regions there are."""
    from mesh import Mesh  # noqa: PLC0415  loaded only to connect
    from mesh.topology.access import Access  # noqa: PLC0415
    from mesh.topology.connect import connect  # noqa: PLC0415
    from mesh.topology.secrets import OPERATOR  # noqa: PLC0415

    access = Access.read(servers)
    if region is not None and region not in access.regions:
        raise TopologyError(f"there is no region {region!r} in {servers}; there are {', '.join(access.regions)}")
    chosen = region or next(iter(access.regions))
    connected = await connect(access, chosen, OPERATOR)
    others = tuple(name for name in access.regions if name != chosen)
    try:
        yield Mesh(connected.broker, "journeys", others=others, layout=connected.layout)
    finally:
        await connected.broker.drain()
