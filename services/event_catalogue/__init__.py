"""Shows every event of the mesh: what it says, its schema, who publishes and who consumes it, and what was no event."""

from typing import TYPE_CHECKING, Any

from mesh import Mesh, Service
from mesh.streams import DEAD

if TYPE_CHECKING:
    from mesh.web.console import Console

service = Service("event-catalogue", reads=(DEAD,), redrives=True, port=8280)


@service.page("/catalogue", title="Catalogue", role="viewer", section="Operations", position=3)
def catalogue_page(console: "Console", mesh: Mesh) -> list[Any]:
    """Every event with its schema, a sample, who publishes and who consumes it; messages that were no events."""
    from services.event_catalogue.page import page_routes  # noqa: PLC0415  brings Litestar, which others do not need

    return page_routes(console, mesh)
