"""Page: Catalogue, every event for whoever builds on them, and the quarantine of what was no event."""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment
from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from markupsafe import Markup

from mesh import Mesh
from mesh.accept import PAGE, SERVER, SIGNED
from mesh.runtime.discovery import discover
from mesh.topology.derive.asyncapi import asyncapi
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.roles import OPERATOR
from mesh.web.static_files import StaticFiles, read_folder
from services.event_catalogue.entries import Entry, entries, search
from services.event_catalogue.quarantine import handled, quarantined

PATH, HERE = "/catalogue", Path(__file__).parent
ASYNCAPI = "application/vnd.aai.asyncapi+json"
"""The media type of AsyncAPI documents (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""
SENDERS = {
    PAGE: "a page of the shop (write key)",
    SERVER: "the shop's servers (server key)",
    SIGNED: "a carrier (signature)",
}
"""Who may send an event to the gateway, in words."""


def page_routes(console: Console, mesh: Mesh) -> list[HTTPRouteHandler]:
    """All of them, below `/catalogue`."""
    environment = console.templates(HERE / "templates")
    environment.globals |= {"at": _static().urls, "senders": SENDERS}
    environment.filters["prose"] = prose
    known = entries(discover(), mesh.layout, mesh.region)
    by_type = {type_: one for one in known for type_ in (*one.older, one.type)}

    @get("/")
    async def show_catalogue(request: Request[Any, Any, Any], q: FromQuery[str] = "") -> Response[bytes]:
        """Every event, or those that are searched for."""
        values = {"groups": _groups(search(known, q)), "count": len(known), "q": q}
        return console.page(request, environment, "catalogue.html.j2", values)

    @get("/asyncapi.json")
    async def download_asyncapi() -> Response[bytes]:
        """All of it for tools, as an AsyncAPI 3.0 document."""
        document = asyncapi(sorted((mesh.region, *mesh.others)), mesh.layout, discover())
        headers = {"Content-Disposition": 'attachment; filename="asyncapi.json"'}
        return Response(msgspec.json.format(msgspec.json.encode(document)), media_type=ASYNCAPI, headers=headers)

    @get("/{event_type:str}")
    async def show_event(request: Request[Any, Any, Any], event_type: FromPath[str]) -> Response[bytes]:
        """One event."""
        if event_type not in by_type:
            raise NotFoundException(f"there is no event {event_type}")
        return console.page(request, environment, "event.html.j2", {"one": by_type[event_type]})

    quarantine = _quarantine_routes(console, environment, mesh)
    return [show_catalogue, download_asyncapi, show_event, *quarantine, _static().route()]


def _quarantine_routes(console: Console, environment: Environment, mesh: Mesh) -> list[HTTPRouteHandler]:
    async def shown(request: Request[Any, Any, Any], said: str = "", kind: str = "good") -> Response[bytes]:
        may_redrive = request.user.may(OPERATOR.name)
        values = {"found": await quarantined(mesh), "may_redrive": may_redrive, "said": said, "kind": kind}
        status = 409 if kind == "bad" else 200
        return console.page(request, environment, "quarantine.html.j2", values, status=status)

    @get("/quarantine")
    async def show_quarantine(request: Request[Any, Any, Any], done: FromQuery[int] = 0) -> Response[bytes]:
        """What was no event, and how it is driven again."""
        return await shown(request, f"Number {done} was handled." if done else "")

    @post("/quarantine/{number:int}/redrive")
    async def redrive_message(request: Request[Any, Any, Any], number: FromPath[int]) -> Response[Any]:
        """Hand a message back to the service that could not read it."""
        require(request, OPERATOR.name)
        if why := await handled(mesh, number):
            return await shown(request, f"Number {number} was not handled: {why}", "bad")
        note(request, str(number))
        return Redirect(f"{PATH}/quarantine?done={number}", status_code=303)

    return [show_quarantine, redrive_message]


def prose(text: str) -> Markup:
    """A docstring's text as HTML: what stands between backticks is code."""
    parts = text.split("`")
    return Markup().join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def _groups(found: list[Entry]) -> dict[str, list[Entry]]:
    """Events by their domain."""
    groups: dict[str, list[Entry]] = {}
    for one in found:
        groups.setdefault(one.domain, []).append(one)
    return groups


@cache
def _static() -> StaticFiles:
    return StaticFiles(read_folder(HERE / "static"), mounted=PATH)
