"""Page: Catalogue, every event for whoever builds on them, and the quarantine of what was no event."""

from functools import cache
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from markupsafe import Markup

from mesh import Mesh
from mesh.accept import PAGE, SERVER, SIGNED
from mesh.runtime.discovery import discover
from mesh.web.console import Console
from mesh.web.static_files import StaticFiles, read_folder
from services.event_catalogue.entries import Entry, entries, search
from services.event_catalogue.quarantine import quarantined

PATH, HERE = "/catalogue", Path(__file__).parent
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

    @get("/quarantine")
    async def show_quarantine(request: Request[Any, Any, Any]) -> Response[bytes]:
        """What was no event, and how it is driven again."""
        return console.page(request, environment, "quarantine.html.j2", {"found": await quarantined(mesh)})

    @get("/{event_type:str}")
    async def show_event(request: Request[Any, Any, Any], event_type: FromPath[str]) -> Response[bytes]:
        """One event."""
        if event_type not in by_type:
            raise NotFoundException(f"there is no event {event_type}")
        return console.page(request, environment, "event.html.j2", {"one": by_type[event_type]})

    return [show_catalogue, show_quarantine, show_event, _static().route()]


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
