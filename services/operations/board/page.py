"""Page: what a browser needs to show the live board; everything it shows comes from `/live`."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

HERE = Path(__file__).parent
STATIC = HERE / "static"
STAGES = {
    "viewed": "Viewed",
    "carted": "Carted",
    "left": "Left",
    "offered": "Offered",
    "recovered": "Recovered",
}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, kw_only=True)
class Served:
    """A file as browsers get it: plain and gzipped, with its digest."""

    plain: bytes
    gzipped: bytes
    kind: str
    digest: str


def pages() -> list[HTTPRouteHandler]:
    """`/`, and the style sheet and scripts it names, which may be cached for ever."""

    @get("/")
    async def show_board(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _answer(request.headers, _page(), "no-cache")

    @get("/static/{edition:str}/{name:str}")
    async def serve_file(
        request: Request[Any, Any, Any], edition: FromPath[str], name: FromPath[str]
    ) -> Response[bytes]:
        found = _files().get(name)
        if found is None or edition != _edition():
            raise NotFoundException("this file is no longer served; load the page again")
        return _answer(request.headers, found, FOR_EVER)

    return [show_board, serve_file]


def _answer(asked: Mapping[str, str], served: Served, caching: str) -> Response[bytes]:
    entity = f'"{served.digest}"'
    headers = {"Cache-Control": caching, "ETag": entity, "Vary": "Accept-Encoding"}
    if asked.get("if-none-match") == entity:
        return Response(b"", status_code=304, headers=headers)
    packed = "gzip" in asked.get("accept-encoding", "")
    return Response(
        served.gzipped if packed else served.plain,
        headers={**headers, "Content-Encoding": "gzip"} if packed else headers,
        media_type=f"{served.kind}; charset=utf-8",
    )


@cache
def _page() -> Served:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    at = {name: f"/static/{_edition()}/{name}" for name in _files()}
    text = environment.get_template("board.html.j2").render(at=at, places=places(), stages=STAGES)
    return _served(text, "text/html")


@cache
def _files() -> dict[str, Served]:
    """All that the page loads: one style sheet, the charts, and the page's own modules."""
    sheets = [STATIC / "uplot" / "uPlot.min.css", *sorted((STATIC / "style").glob("*.css"))]
    scripts = [STATIC / "uplot" / "uPlot.iife.min.js", *sorted((STATIC / "script").glob("*.js"))]
    return {
        "board.css": _served("\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets), "text/css"),
        **{script.name: _served(script.read_text(encoding="utf-8"), "text/javascript") for script in scripts},
    }


@cache
def _edition() -> str:
    """All files together have one address, so that modules find each other and are replaced at once."""
    return hashlib.sha256("".join(served.digest for served in _files().values()).encode()).hexdigest()[:16]


def _served(text: str, kind: str) -> Served:
    plain = text.encode()
    digest = hashlib.sha256(plain).hexdigest()[:16]
    return Served(plain=plain, gzipped=gzip.compress(plain, 9, mtime=0), kind=kind, digest=digest)


@cache
def places() -> str:
    """Where each time zone's city lies: `Zone/Name latitude longitude`, in degrees, parted by `|`.

    From tzdata's zone.tab (https://data.iana.org/time-zones/tz-link.html), which is in the public domain.
    """
    lines = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return "|".join(f"{row[2]} {_degrees(row[1])}" for row in rows)


def _degrees(told: str) -> str:
    """`+404251-0740023` (ISO 6709: degrees, minutes, seconds) as `40.7 -74`."""
    cut = max(told.rfind("+"), told.rfind("-"))
    return " ".join(f"{_decimal(part):.1f}".removesuffix(".0") for part in (told[:cut], told[cut:]))


def _decimal(part: str) -> float:
    whole = len(part) - (4 if len(part) > 6 else 2)
    minutes = int(part[whole : whole + 2]) / 60
    return (1 if part[0] == "+" else -1) * (int(part[1:whole]) + minutes)
