"""The marketers' pages and API: journeys and templates are edited and published, and put in force in every region."""

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
    "studio",
    publishes=(JourneyPublished, TemplatePublished),
    buckets=(JOURNEYS.bucket, TEMPLATES.bucket, DRAFTS),
    port=8130,
)


@service.on(JourneyPublished, TemplatePublished, reach="mesh")
async def put_in_force(received: Received[Published], mesh: Mesh) -> None:
    """Put a journey or template that was published in any region in force here."""
    kind = JOURNEYS if isinstance(received.event, JourneyPublished) else TEMPLATES
    await apply(kind, received, mesh)


@service.page("/journeys", title="Journeys", role="viewer", section="Marketing")
def journey_pages(console: "Console", mesh: Mesh) -> list[Any]:
    """How left carts are answered: who gets an offer, what it is worth, when it may be sent."""
    from notifications.studio.journeys import routes  # noqa: PLC0415  brings Litestar, which others do not need

    return routes(console, mesh)


@service.page("/templates", title="Templates", role="viewer", section="Marketing")
def template_pages(console: "Console", mesh: Mesh) -> list[Any]:
    """The mails and cards that shoppers get, in every language."""
    from notifications.studio.templates import routes  # noqa: PLC0415  brings Litestar, which others do not need

    return routes(console, mesh)


@service.page("/documents", title="Documents", role="viewer")
def document_api(console: "Console", mesh: Mesh) -> list[Any]:
    """Journeys and templates over HTTP, for scripts with an API token and for the console's own pages."""
    from notifications.document_api.routes import routes  # noqa: PLC0415  brings Litestar, which others do not need

    return routes(console, mesh, (JOURNEYS, TEMPLATES))
