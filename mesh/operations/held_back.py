"""Held back: what services keep from being used in a region that was rebuilt, until a person has looked at it.

What a region did in its last moments may not have reached any other one. So what it could give away a second time,
such as units of stock, is not given away before somebody has looked. A service does so by a function in the entry
points `cartmesh.held_back`, whose name is what `--keep` takes: `async def units(mesh, lost_at) -> str`. It stores
events of the region, once however often it is called, and says in words what was held back and what to do; nothing
where nothing was.
"""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from importlib.metadata import entry_points

from mesh.mesh import Mesh

GROUP = "cartmesh.held_back"
HoldBack = Callable[[Mesh, datetime], Awaitable[str]]


async def hold_back(mesh: Mesh, lost_at: datetime, keep: Collection[str]) -> dict[str, str]:
    """What was held back, by name; nothing of what `keep` names."""
    found = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        act: HoldBack = entry.load()
        if entry.name not in keep and (told := await act(mesh, lost_at)):
            found[entry.name] = told
    return found


def names() -> list[str]:
    """What can be held back."""
    return sorted(entry.name for entry in entry_points(group=GROUP))
