"""Documentation: the OpenAPI description, derived from the events, and Swagger UI to read it, without the internet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.static_files import create_static_files_router

from mesh.runtime.hosting import Hosted
from mesh.web.headers import STRICT
from mesh.web.problems import Problem
from services.gateway.documented_paths import REF, documented_paths
from services.gateway.foreign import translations
from services.gateway.intake import Head
from services.gateway.judged import Ignored, Rejected

STATIC = Path(__file__).parent / "static"
RELAXED = STRICT.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
"""Swagger UI sets inline styles; only its page may."""
DESCRIPTION = """\
Takes the events of storefronts and servers, and sends offers to open pages.

A shop that uses the browser script needs none of this: paste what `GET /v1/tag` prints into every page. Whoever writes
a client of their own sends events to `POST /v1/events` and opens `GET /v1/visitors/{visitor_id}/offers/live`.
Amounts are whole minor units (1299 is 12.99 EUR), times are RFC 3339. To try requests here, press Authorize first.
"""
TAGS = {
    "Storefront": "What a client of one's own needs.",
    "Other systems": "What a shop's systems send already, in its own form; services/README.md says what counts.",
    "Browser script": "The script, and the short paths that it uses: no blocker has a rule for them.",
}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Cartmesh gateway</title>
<link rel="icon" href="/docs/static/swagger-ui/favicon-32x32.png">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="/docs/static/swagger-ui/swagger-ui.css">
<link rel="stylesheet" href="/docs/static/docs.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/static/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/docs/static/docs.js"></script>
</body></html>
"""


def pages(hosted: Mapping[str, Hosted]) -> list[Any]:
    """`/docs`, `/docs/openapi.json` and the files they need."""

    @get("/docs", media_type=MediaType.HTML)
    async def show_docs() -> Response[str]:
        return Response(PAGE, headers={"Content-Security-Policy": RELAXED}, media_type=MediaType.HTML)

    @get("/docs/openapi.json")
    async def show_openapi() -> Response[bytes]:
        return Response(document, media_type="application/json")

    document = msgspec.json.encode(openapi(hosted))
    files = create_static_files_router(path="/docs/static", directories=[STATIC])
    handlers: list[HTTPRouteHandler] = [show_docs, show_openapi]
    return [*handlers, files]


def openapi(hosted: Mapping[str, Hosted]) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    accepted = [one.owner.acceptance for one in hosted.values()]
    (head, *kinds, _, _, _), schemas = msgspec.json.schema_components(
        [Head, *(acceptance.kind for acceptance in accepted), Rejected, Ignored, Problem], ref_template=REF
    )
    variants = []
    for acceptance, schema in zip(accepted, kinds, strict=True):
        name, kind = acceptance.type, acceptance.kind
        for said_here in ("by", "refused"):  # who sends, and whether it is refused, is known here
            schemas[kind.__name__]["properties"].pop(said_here, None)
        schemas[f"Sent{kind.__name__}"] = {
            "title": name,
            "description": f"{acceptance.summary} Sent by: {', '.join(acceptance.by)}.",
            "allOf": [head, schema, {"type": "object", "properties": {"type": {"const": name}}}],
        }
        variants.append({"$ref": REF.format(name=f"Sent{kind.__name__}")})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cartmesh gateway",
            "version": "1",
            "description": DESCRIPTION,
        },
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": documented_paths(variants, translations()),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "write_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The public key of the shop's pages; `demo` in a demo shop.",
                },
                "server_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The secret key of the shop's servers: also for the catalogue and confirmed orders.",
                },
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Cartmesh-Signature",
                    "description": "A carrier's: `t=<seconds>,v1=<hex>`, HMAC-SHA256 of `<t>.<body>` with its secret.",
                },
                "key": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "key",
                    "description": "The public key where a browser cannot send headers.",
                },
            },
        },
    }
