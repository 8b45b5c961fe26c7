"""Routes: the document API, one part for each kind of documents, and its OpenAPI description."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from litestar import Litestar, Response, Router, get
from litestar.datastructures import ResponseHeader
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from mesh import Mesh
from mesh.web.console import Console
from notifications.document_api.changing import Follow, changing_routes
from notifications.document_api.problems import HANDLERS
from notifications.document_api.reading import reading_routes
from notifications.document_api.reviewing import reviewing_routes
from notifications.documents.kind import Kind

PATH = "/documents"
DESCRIPTION = """Journeys, templates and shared blocks: drafts, revisions, publishing.

Send `Authorization: Bearer <API token>`; the console's account page makes tokens, with the account's own roles.
Whoever changes something sends the version or revision that was read last, and gets 409 where somebody was quicker.
Where two people must see a draft (`CARTMESH_REVIEW_REQUIRED`), who changed it last asks for review and gets 409 until
another publisher has approved that version; reverting needs none.
A shared block that is published publishes every template again that contains it.
Every refusal is a problem detail (RFC 9457) whose `detail` says what to do.
"""


def routes(
    console: Console,
    mesh: Mesh,
    kinds: Sequence[Kind],
    reviewed: Collection[str] = (),
    following: Mapping[str, Follow] | None = None,
) -> list[Any]:
    """Below `/documents`: `/v1/<kind>/...`, and `/openapi.json`. Drafts of the kinds in `reviewed` need a review.

    `following` is what follows a publication, by the name of the kind.
    """
    parts = [
        Router(
            f"/v1/{kind.plural}",
            route_handlers=[
                *reading_routes(kind, mesh, console.accounts),
                *changing_routes(
                    kind,
                    mesh,
                    console.accounts,
                    needs_review=kind.name in reviewed,
                    follow=(following or {}).get(kind.name),
                ),
                *reviewing_routes(kind, mesh, console.accounts),
            ],
            exception_handlers=HANDLERS,
            response_headers=[ResponseHeader(name="Cache-Control", value="no-store")],
            tags=[kind.plural],
        )
        for kind in kinds
    ]

    @get("/openapi.json", include_in_schema=False)
    async def show_openapi() -> Response[bytes]:
        return Response(description(), media_type="application/json")

    @cache
    def description() -> bytes:
        return openapi(parts)

    return [*parts, show_openapi]


def openapi(parts: Sequence[Router]) -> bytes:
    """The OpenAPI document of these routes, as JSON."""
    config = OpenAPIConfig(
        title="Cartmesh documents",
        version="1",
        description=DESCRIPTION,
        security=[{"token": []}],
        components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}),
    )
    app = Litestar([Router(PATH, route_handlers=[*parts])], openapi_config=config)
    return msgspec.json.encode(app.openapi_schema.to_schema())
