"""Page: Connections, what came in and what was refused and why, live, for those who connect a shop."""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery

from mesh import settings
from mesh.web.application import event_stream_response
from mesh.web.console import Console
from mesh.web.event_stream import server_sent_event
from mesh.web.problems import retry_later
from mesh.web.readers import Readers
from mesh.web.static_files import StaticFiles, read_folder
from services.connect.guides import GUIDES
from services.connect.seen_requests import TOPIC, SeenRequests

HERE = Path(__file__).parent
OUTCOMES = {"taken": "taken", "partly": "taken in part", "refused": "refused", "unknown": "not understood"}


class ConnectionsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway as the shop's systems find it, for the examples, and how many readers there may be at once.

    CARTMESH_URLS_GATEWAY: `<region>=<address>`, separated by spaces; of a region that it does not name,
    CARTMESH_URL_GATEWAY.
    """

    urls_gateway: str = ""
    url_gateway: str = "http://127.0.0.1:8080"
    connections_readers: int = 64
    connections_patience: float = 10.0


def page_routes(console: Console, seen: SeenRequests) -> list[HTTPRouteHandler]:
    """All of them, below `/connections`."""
    environment = console.templates(HERE / "templates")
    chosen = settings.read(ConnectionsSettings)
    readers = Readers(chosen.connections_readers, chosen.connections_patience)
    named = dict(pair.split("=", 1) for pair in chosen.urls_gateway.split() if "=" in pair)
    gateway = named.get(console.region, chosen.url_gateway).rstrip("/")
    environment.globals |= {"guides": GUIDES, "gateway": gateway, "at": _static().urls, "outcomes": OUTCOMES}

    def values(source: str, only: str) -> dict[str, Any]:
        known = source if source in {one.source for one in GUIDES} else ""
        chosen_only = "bad" if only == "bad" else ""
        return {
            "shown": seen.newest(source=known, only=chosen_only),
            "source": known,
            "only": chosen_only,
            "counts": seen.counts,
            "last": seen.last,
            "left_out": seen.left_out,
        }

    @get("/")
    async def show_connections(
        request: Request[Any, Any, Any], source: FromQuery[str] = "", only: FromQuery[str] = ""
    ) -> Response[bytes]:
        """What came in, newest first, and how each source is connected."""
        return console.page(request, environment, "connections.html.j2", values(source, only))

    @get("/list")
    async def show_list(source: FromQuery[str] = "", only: FromQuery[str] = "") -> Response[str]:
        """The same list alone, as the page fetches it when something came in."""
        text = environment.get_template("list.html.j2").render(values(source, only))
        return Response(text, media_type="text/html", headers={"Cache-Control": "no-store"})

    @get("/live", middleware=[readers.middleware()])
    async def stream_changes() -> Response[Any]:
        """Server-sent events `changed`, each time something came in; slow readers miss some."""
        if readers.too_many:
            return retry_later(503, "too many look at this page already", seconds=5)
        stream = seen.pages.stream(TOPIC, lambda count: server_sent_event("changed", b"%d" % count))
        return event_stream_response(stream)

    return [show_connections, show_list, stream_changes, _static().route()]


@cache
def _static() -> StaticFiles:
    return StaticFiles(read_folder(HERE / "static"), mounted="/connections")
