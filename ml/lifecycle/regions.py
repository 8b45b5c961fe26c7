"""The regions that a command about models speaks to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mesh import Mesh
    from ml.lifecycle.registry import Registry

MODEL = "propensity"
T = TypeVar("T")


def registry(mesh: "Mesh") -> "Registry":
    """A region's models."""
    from ml.lifecycle.registry import Registry  # noqa: PLC0415  saves start-up time

    return Registry(mesh)


@asynccontextmanager
async def regions_of(servers: Path | None, region: str | None) -> AsyncIterator[list["Mesh"]]:
    """Connections to one region, or to all, as operator; TopologyError lists those there are."""
    from mesh import Mesh  # noqa: PLC0415  saves start-up time
    from mesh.topology.access import Access  # noqa: PLC0415  saves start-up time
    from mesh.topology.connect import connect  # noqa: PLC0415  saves start-up time
    from mesh.topology.secrets import OPERATOR  # noqa: PLC0415  saves start-up time
    from ml.lifecycle.registry import WRITER  # noqa: PLC0415  saves start-up time

    access = Access.find(servers)
    if region is not None:
        access.login(region)
    async with AsyncExitStack() as stack:
        meshes = []
        for name in [region] if region else list(access.regions):
            connected = await connect(access, name, OPERATOR)
            stack.push_async_callback(connected.broker.drain)
            meshes.append(Mesh(connected.broker, WRITER, layout=connected.layout))
        yield meshes


def each(servers: Path | None, region: str | None, look: Callable[["Mesh"], Awaitable[T]]) -> list[T]:
    """What `look` finds in one region, or in all."""

    async def work() -> list[T]:
        async with regions_of(servers, region) as meshes:
            return [await look(mesh) for mesh in meshes]

    return asyncio.run(work())
