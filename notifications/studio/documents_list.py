"""Documents list: the first page of journeys and of templates: what is in force, and who is editing what."""

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from notifications.document_api.views import names_of_accounts
from notifications.documents.drafts import open_drafts
from notifications.documents.kind import Kind
from notifications.studio.studio import Studio


def list_route(studio: Studio, kind: Kind, *, title: str, lead: str) -> HTTPRouteHandler:
    """The list of one kind, at the path of its page."""

    @get("/")
    async def list_documents(request: Request[Any, Any, Any]) -> Response[bytes]:
        in_force = [document async for _, document in studio.mesh.state(kind.bucket).items()]
        values = {
            "title": title,
            "lead": lead,
            "documents": sorted(in_force, key=lambda one: one.name),
            "drafts": await open_drafts(kind, studio.mesh),
            "authors": {"seed": "comes with Cartmesh"} | dict(await names_of_accounts(studio.console.accounts)),
        }
        return studio.show(request, "documents.html.j2", values)

    return list_documents
