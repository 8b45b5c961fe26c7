"""Puts published journeys and templates in force in every region, and lets people edit and publish them over HTTP."""

from typing import TYPE_CHECKING, Any

from mesh import Mesh, Received, Service
from mesh.events.journey import JourneyPublished
from mesh.events.template import TemplatePublished
from notifications.documents.drafts import DRAFTS
from notifications.documents.kind import Published
from notifications.documents.publishing import apply
from notifications.journeys.kind import JOURNEYS
from notifications.templates.kind import TEMPLATES

if TYPE_CHECKING:
    from mesh.web.console import Console

service = Service(
    "documents",
    publishes=(JourneyPublished, TemplatePublished),
    buckets=(JOURNEYS.bucket, TEMPLATES.bucket, DRAFTS),
    port=8130,
)


@service.on(JourneyPublished, TemplatePublished, reach="mesh")
async def put_in_force(received: Received[Published], mesh: Mesh) -> None:
    """Put a journey or template that was published in any region in force here."""
    kind = JOURNEYS if isinstance(received.event, JourneyPublished) else TEMPLATES
    await apply(kind, received, mesh)


@service.page("/documents", title="Documents", role="viewer")
def document_api(console: "Console", mesh: Mesh) -> list[Any]:
    """Journeys and templates over HTTP, for scripts with an API token and for the console's own pages."""
    from notifications.document_api.routes import routes  # noqa: PLC0415  brings Litestar, which others do not need

    return routes(console, mesh, (JOURNEYS, TEMPLATES))
