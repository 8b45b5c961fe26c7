"""Page: what a browser needs to show the live board; everything it shows comes from `/live`."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from mesh.web.console import Console
from mesh.web.static_files import MEDIA_TYPES, StaticFiles, static_file

HERE = Path(__file__).parent
STATIC = HERE / "static"
STAGES = {
    "viewed": "Viewed",
    "carted": "Carted",
    "left": "Left",
    "offered": "Offered",
    "recovered": "Recovered",
}


def pages(console: Console) -> list[HTTPRouteHandler]:
    """The page, and the style sheet and scripts it names, which may be cached for ever."""
    environment = console.templates(HERE / "templates")
    values = {"at": _static().urls, "places": places(), "stages": STAGES}

    @get("/")
    async def show_board(request: Request[Any, Any, Any]) -> Response[bytes]:
        return console.page(request, environment, "board.html.j2", values)

    return [show_board, _static().route()]


@cache
def _static() -> StaticFiles:
    """All that the page loads: one style sheet, the charts, and the page's own modules."""
    sheets = [STATIC / "uplot" / "uPlot.min.css", *sorted((STATIC / "style").glob("*.css"))]
    scripts = [STATIC / "uplot" / "uPlot.iife.min.js", *sorted((STATIC / "script").glob("*.js"))]
    css = "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    return StaticFiles(
        {
            "board.css": static_file(css, MEDIA_TYPES[".css"]),
            **{script.name: static_file(script.read_bytes(), MEDIA_TYPES[".js"]) for script in scripts},
        },
        mounted="/board",
    )


@cache
def places() -> str:
    """Where each time zone's city lies: `Zone/Name latitude longitude`, in degrees, parted by `|`.

    From tzdata's zone.tab (https://data.iana.org/time-zones/tz-link.html), which is in the public domain.
    """
    lines = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return "|".join(f"{row[2]} {_degrees(row[1])}" for row in rows)


def _degrees(position: str) -> str:
    """`+404251-0740023` (ISO 6709: degrees, minutes, seconds) as `40.7 -74`."""
    cut = max(position.rfind("+"), position.rfind("-"))
    return " ".join(f"{_decimal(part):.1f}".removesuffix(".0") for part in (position[:cut], position[cut:]))


def _decimal(part: str) -> float:
    whole = len(part) - (4 if len(part) > 6 else 2)
    minutes = int(part[whole : whole + 2]) / 60
    return (1 if part[0] == "+" else -1) * (int(part[1:whole]) + minutes)
