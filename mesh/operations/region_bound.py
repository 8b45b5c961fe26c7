"""Region-bound: what lives in one region alone, as the services say it that know: stock, codes, parts of budgets.

A service tells it by a function in the entry points `cartmesh.region_bound`, whose name is what `--force` takes:
`async def units(mesh, region) -> str`. It reads the region's own events, or from another region what it has received
of them, and says in words what is there and how to move it; nothing where nothing is.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import entry_points
from typing import TypeVar

from mesh.event import Event, key_of
from mesh.mesh import Mesh
from mesh.streams import mesh_stream

GROUP = "cartmesh.region_bound"
Tell = Callable[[Mesh, str], Awaitable[str]]
E = TypeVar("E", bound=Event)


async def region_bound(mesh: Mesh, region: str) -> dict[str, str]:
    """What lives in a region alone, by name, as far as it is known where `mesh` is connected."""
    found = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        tell: Tell = entry.load()
        if told := await tell(mesh, region):
            found[entry.name] = told
    return found


async def newest(mesh: Mesh, kind: type[E], region: str) -> dict[str, E]:
    """The newest event of a kind for each key of a region. Reads all of the kind: some 25,000 a second."""
    return {key_of(one): one async for one in events_of(mesh, kind, region)}


async def events_of(mesh: Mesh, kind: type[E], region: str) -> AsyncIterator[E]:
    """A region's events of a kind, in their order: its own, or what has been copied to where `mesh` is connected."""
    stream = None if region == mesh.region else mesh_stream(mesh.region)
    async for received in mesh.read(kind, stream=stream):
        if received.region == region:
            yield received.event
