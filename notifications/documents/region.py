"""The region that a command works in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import cyclopts

from mesh.errors import Conflict

if TYPE_CHECKING:
    from mesh import Mesh

T = TypeVar("T")


@cyclopts.Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Which region of which mesh, by default the first one of the mesh that runs here."""

    region: Annotated[str | None, cyclopts.Parameter(help="By default the first region of the mesh.")] = None
    servers: Annotated[
        Path | None, cyclopts.Parameter(help="The servers.json of an embedded mesh; else `CARTMESH_NATS_URL_<REGION>`.")
    ] = None


HERE = Where()


def run_in(where: Where, work: Callable[["Mesh"], Awaitable[T]]) -> T:
    """Do some work in a region, as operator. Exits with what to do where somebody else changed the same meanwhile."""

    async def connected() -> T:
        async with operator_of(where.servers, where.region) as mesh:
            return await work(mesh)

    try:
        return asyncio.run(connected())
    except Conflict as error:
        raise SystemExit(f"{error}: somebody changed it meanwhile; look at its status, then do it again") from None


@asynccontextmanager
async def operator_of(servers: Path | None, region: str | None) -> AsyncIterator["Mesh"]:
    """A region, by default the first, connected to as operator. TopologyError lists the regions there are."""
    from mesh import Mesh  # noqa: PLC0415  loaded only to connect
    from mesh.topology.access import Access  # noqa: PLC0415
    from mesh.topology.connect import connect  # noqa: PLC0415
    from mesh.topology.secrets import OPERATOR  # noqa: PLC0415

    access = Access.find(servers)
    if region is not None:
        access.login(region)
    chosen = region or next(iter(access.regions))
    connected = await connect(access, chosen, OPERATOR)
    others = tuple(name for name in access.regions if name != chosen)
    try:
        yield Mesh(connected.broker, "studio", others=others, layout=connected.layout)
    finally:
        await connected.broker.drain()
