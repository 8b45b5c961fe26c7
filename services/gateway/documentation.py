"""Documentation: the OpenAPI description, derived from the events, and Swagger UI to read it, without the internet."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.static_files import create_static_files_router

from mesh.runtime.hosting import Hosted
from mesh.web.headers import STRICT
from mesh.web.problems import Problem
from services.gateway import script
from services.gateway.examples import examples
from services.gateway.intake import MOST_EVENTS, Head, Ignored, Rejected

STATIC = Path(__file__).parent / "static"
RELAXED = STRICT.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
"""Swagger UI sets inline styles; only its page may."""
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
_REF = "#/components/schemas/{name}"


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
        [Head, *(acceptance.kind for acceptance in accepted), Rejected, Ignored, Problem], ref_template=_REF
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
        variants.append({"$ref": _REF.format(name=f"Sent{kind.__name__}")})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cartmesh gateway",
            "version": "1",
            "description": "Takes the events of storefronts and servers, and sends offers to open pages.",
        },
        "paths": {
            "/v1/events": {"post": _post_events(variants)},
            "/v1/visitors/{visitor_id}/offers/live": {"get": _get_offers()},
            **_short(variants),
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "write_key": {"type": "http", "scheme": "bearer"},
                "server_key": {"type": "http", "scheme": "bearer", "description": "secret; also for the catalogue"},
                "key": {"type": "apiKey", "in": "query", "name": "key"},
            },
        },
    }


def _short(variants: list[dict[str, str]]) -> dict[str, Any]:
    """The browser script, and the short paths it uses: blockers have no rule for them."""
    ready = _plain("Whether events are taken now") | {"tags": ["Browser script"]}
    ready["responses"] |= {"503": _problem("Not now", wait=True)}
    return {
        "/v1/updates": {"get": ready, "post": _post_events(variants) | {"security": [{"write_key": []}, {"key": []}]}},
        "/v1/cards/{visitor_id}": {"get": _get_offers()},
        **{path: {"get": _plain(words) | {"tags": ["Browser script"]}} for path, words in script.PATHS.items()},
    }


def _post_events(variants: list[dict[str, str]]) -> dict[str, Any]:
    events = {"type": "array", "maxItems": MOST_EVENTS, "items": {"oneOf": variants}}
    return {
        "summary": "Store events",
        "tags": ["Storefront"],
        "description": "Answers 202 only once JetStream has acknowledged every accepted event. "
        "Each bad event is rejected by itself; a bad field that may be absent is left "
        "out and named in `ignored`. Sending the same events again, with the same ids, is always safe. "
        "What only `server` sends needs a server key.",
        "security": [{"write_key": []}, {"server_key": []}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object", "required": ["events"], "properties": {"events": events}},
                    "examples": examples(datetime.now(UTC)),
                }
            },
        },
        "responses": {
            "202": {
                "description": "Stored, but for those rejected",
                "content": {"application/json": {"schema": _VERDICT}},
            },
            "422": {
                "description": "Every event is rejected: sending them again changes nothing",
                "content": {"application/json": {"schema": _VERDICT}},
            },
            **{str(status): _problem(words, wait=status in (429, 503)) for status, words in _REFUSALS.items()},
        },
    }


_REFUSALS = {
    400: "Not JSON, or not a list of events",
    401: "No valid write key",
    413: "Over 1 MiB or 500 events",
    429: "Too many events at once",
    503: "JetStream cannot take them now; send the same again",
}
_VERDICT = {
    "type": "object",
    "required": ["accepted", "duplicates", "rejected"],
    "properties": {
        "accepted": {"type": "integer", "description": "stored, among them those that had been stored before"},
        "duplicates": {"type": "integer", "description": "of the accepted, those stored before"},
        "rejected": {"type": "array", "items": {"$ref": _REF.format(name="Rejected")}},
        "ignored": {
            "type": "array",
            "description": "fields that were left out of accepted events, unknown ones among them",
            "items": {"$ref": _REF.format(name="Ignored")},
        },
    },
}


def _get_offers() -> dict[str, Any]:
    return {
        "summary": "Live offers of a visitor",
        "tags": ["Storefront"],
        "description": "Server-sent events: `offer` with a card to show, `withdrawn` once the visitor bought. "
        "The id of an event is its place in the log; a browser that reconnects with Last-Event-ID is sent "
        "only what is newer. EventSource has no headers, so the write key is also taken as `key`.",
        "security": [{"write_key": []}, {"key": []}],
        "parameters": [
            {"name": "visitor_id", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {"description": "A stream", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            "401": _problem(_REFUSALS[401]),
            "429": _problem("Too many pages are open", wait=True),
        },
    }


def _plain(text: str) -> dict[str, Any]:
    return {
        "summary": text,
        "tags": ["Operation"],
        "responses": {"200": {"description": text, "content": {"text/plain": {"schema": {"type": "string"}}}}},
    }


def _problem(text: str, *, wait: bool = False) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": text,
        "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}},
    }
    if wait:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return response
