"""The inbox's page: what arrived, as its reader sees it, live as it arrives."""

from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Litestar, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from mesh.settings import read
from mesh.web.application import event_stream_response
from mesh.web.event_stream import Hub, server_sent_event
from mesh.web.headers import response_headers
from mesh.web.static_files import StaticFiles, read_folder
from notifications.inbox.store import Inbox, Mail
from notifications.inbox.view import PARTS, SCHEMES, WIDTHS, Scheme, View, in_scheme, opened, part

HERE = Path(__file__).parent
SHOWN = 200
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FRAMED = {
    "Content-Security-Policy": "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline';"
    " img-src https: http: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
}


class InboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`urls_console`: the consoles by region, `us=http://... eu=http://...`. Links lead to the first."""

    urls_console: str = ""

    @property
    def console(self) -> str:
        """Base URL of a console; empty where there is none."""
        first, *_ = self.urls_console.split() or [""]
        return first.partition("=")[2].rstrip("/")


def app(box: Inbox) -> Litestar:
    """A list of the newest mails, each with its HTML (in a sandbox) and its text."""
    files, console, hub = StaticFiles(read_folder(HERE / "static")), read(InboxSettings).console, Hub[int](queued=1)
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = templates.get_template("inbox.html.j2")
    box.on_arrival.append(lambda: hub.publish("", len(box.mails)))
    box.on_close.append(hub.close)

    def show(mail: Mail | None, view: View, *, chosen: bool) -> Response[str]:
        values = {
            "at": files.urls,
            "count": len(box.mails),
            "smtp_port": box.smtp_port,
            "mails": list(reversed(box.mails[-SHOWN:])),
            "shown": opened(box, mail, console) if mail else None,
            "chosen": chosen,
            "view": view,
            "parts": PARTS,
            "widths": WIDTHS,
            "schemes": SCHEMES,
        }
        return Response(page.render(values), media_type="text/html", headers={"Cache-Control": "no-store"})

    @get("/", media_type="text/html")
    async def show_newest(request: Request[Any, Any, Any]) -> Response[str]:
        """The list, and the newest mail."""
        return show(box.mails[-1] if box.mails else None, _view(request), chosen=False)

    @get("/mails/{number:int}", media_type="text/html")
    async def show_mail(request: Request[Any, Any, Any], number: FromPath[int]) -> Response[str]:
        """One mail."""
        return show(_find(box, number), _view(request), chosen=True)

    @get("/mails/{number:int}/body", media_type="text/html")
    async def show_body(number: FromPath[int], scheme: FromQuery[Scheme] = "light") -> Response[str]:
        """The HTML that was sent, without scripts, forms or our origin."""
        html = part(box.opened(_find(box, number)), "html")
        return Response(in_scheme(html, scheme), media_type="text/html", headers=dict(FRAMED))

    @get("/live")
    async def stream_arrivals() -> Stream:
        """Server-sent events: `mails` with how many there are, at once and with each that arrives."""
        return event_stream_response(hub.stream("", _counted, first=lambda: [len(box.mails)]))

    return Litestar(
        [show_newest, show_mail, show_body, stream_arrivals, files.route()],
        response_headers=response_headers(POLICY),
        openapi_config=None,
        logging_config=None,
    )


def _counted(count: int) -> bytes:
    return server_sent_event("mails", b"%d" % count)


def _view(request: Request[Any, Any, Any]) -> View:
    """How the address asks to look at the mail; what it asks for that there is not is as it is at first."""
    asked: dict[str, Any] = request.query_params.dict()
    known = {"part": PARTS, "width": WIDTHS, "scheme": SCHEMES}
    return View(**{name: value for name, (value, *_) in asked.items() if value in known.get(name, {})})


def _find(box: Inbox, number: int) -> Mail:
    if not 1 <= number <= len(box.mails):
        raise NotFoundException(f"no mail {number}")
    return box.mails[number - 1]
