"""Writes the region's events into Delta Lake tables, in a folder or an object store, each exactly once."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from mesh import Mesh, Service
from services.lake.status import LakeStatus

if TYPE_CHECKING:
    from mesh.web.console import Console

service = Service("lake", reads=("PERSONAL",), alone=True, port=8270)


@service.resource
async def open_lake(mesh: Mesh) -> AsyncIterator[LakeStatus]:
    """The writers of the region's streams, at work; none without CARTMESH_LAKE."""
    from services.lake.writers import writing  # noqa: PLC0415  brings polars, which other processes do not need

    async with writing(mesh) as status:
        yield status


@service.page("/lake", title="Lake", role="viewer", section="Operations", position=2)
def lake_page(console: "Console", lake: LakeStatus) -> list[Any]:
    """Which tables the lake has, what is in them, and how far behind the streams they are."""
    from services.lake.page import page_routes  # noqa: PLC0415  brings Litestar, which other processes do not need

    return page_routes(console, lake)
