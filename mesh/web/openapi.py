"""OpenAPI: the description of a service's HTTP interface, read from its route handlers.

What a handler's signature does not show its decorator says:

    @post("/v1/orders", takes=NewOrder, gives={201: Answer}, refuses=(409, 422), needs=("Idempotency-Key",))

`takes` is the type of the body, `gives` the type of the response for each status (str: an event stream), `refuses` are
the statuses of problem details beside those that every route has, and `needs` the headers without which it refuses.
`names` has the types of parts of the path that are not any token, and `example` is a body that is taken.
"""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from mesh.vocabulary import Token
from mesh.web.problems import Problem

REF = "#/components/schemas/{name}"
PATH = "/docs/openapi.json"
EVERYWHERE = (400, 401, 408, 413, 503)
"""What any route may refuse with: not to be read, no key, too slow, too long, and not now."""
HeaderText = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
LATER = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}


def documentation(title: str, *, key: str = "A key of the shop's servers.") -> HTTPRouteHandler:
    """`GET /docs/openapi.json` for the app that it is a handler of. `key` says what `Authorization: Bearer` takes."""

    @cache
    def description(app: Litestar) -> bytes:
        return msgspec.json.encode(openapi(app, title, key))

    @get(PATH)
    async def show_openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
        """What this service takes and gives over HTTP."""
        return Response(description(request.app), media_type="application/json")

    return show_openapi


def openapi(app: Litestar, title: str, key: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an app's routes that say what they give."""
    described = list(_described(app))
    kinds = {kind for _, _, handler in described for kind in _kinds(handler)} | {Problem}
    ordered = sorted(kinds, key=str)
    schemas, components = msgspec.json.schema_components(ordered, ref_template=REF)
    known = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for path, method, handler in described:
        paths.setdefault(path, {})[method.lower()] = _operation(handler, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": key}},
        },
    }


def undescribed(app: Litestar) -> list[str]:
    """The routes that do not say what they give, but for the description itself."""
    return [
        f"{method} {route.path_format}"
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path_format != PATH
        for method, handler in _methods(route)
        if "gives" not in handler.opt
    ]


def _described(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, handler in _methods(route):
                if "gives" in handler.opt:
                    yield route.path_format, method, handler


def _methods(route: HTTPRoute) -> Iterator[tuple[str, HTTPRouteHandler]]:
    """Each method of a route with its handler; not OPTIONS, which Litestar answers itself."""
    for handler in route.route_handlers:
        for method in sorted(handler.http_methods - {"OPTIONS"}):
            yield method, handler


def _kinds(handler: HTTPRouteHandler) -> Iterator[Any]:
    yield from (kind for kind in (handler.opt.get("takes"), *handler.opt["gives"].values()) if kind not in (None, str))
    yield from (kind for _, _, kind in _parameters(handler))


def _parameters(handler: HTTPRouteHandler) -> Iterator[tuple[str, str, Any]]:
    """Name, place and type of what a handler reads from the path, the query and the headers. An id is a token."""
    ids = {name for path in handler.paths for name in re.findall(r"{(\w+):str}", path)}
    for name, field in handler.parsed_fn_signature.parameters.items():
        if name in ids:
            yield name, "path", handler.opt.get("names", {}).get(name, Token)
        elif name != "request":
            yield name, "query", field.annotation
    yield from ((name, "header", HeaderText) for name in handler.opt.get("needs", ()))


def _operation(handler: HTTPRouteHandler, known: dict[Any, Any]) -> dict[str, Any]:
    words = inspect.getdoc(handler.fn) or ""
    operation: dict[str, Any] = {
        "summary": words.partition("\n")[0],
        "parameters": [
            {"name": name, "in": place, "required": place != "query", "schema": known[kind]}
            for name, place, kind in _parameters(handler)
        ],
        "responses": {str(status): _response(status, kind, known) for status, kind in handler.opt["gives"].items()}
        | {str(status): _refusal(status, known) for status in (*EVERYWHERE, *handler.opt.get("refuses", ()))},
    }
    if (takes := handler.opt.get("takes")) is not None:
        example = {"example": handler.opt["example"]} if "example" in handler.opt else {}
        content = {"application/json": {"schema": known[takes], **example}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _response(status: int, kind: Any, known: dict[Any, Any]) -> dict[str, Any]:
    media_type, schema = ("text/event-stream", {"type": "string"}) if kind is str else ("application/json", known[kind])
    return {"description": HTTPStatus(status).phrase, "content": {media_type: {"schema": schema}}}


def _refusal(status: int, known: dict[Any, Any]) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": known[Problem]}}
    refusal: dict[str, Any] = {"description": HTTPStatus(status).phrase, "content": content}
    return refusal | ({"headers": LATER} if status in (429, 503) else {})
