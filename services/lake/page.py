"""Page: Lake, the tables of the region's lake: what is in them, how far behind the streams, and what goes wrong."""

from functools import cache
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh.web.console import Console
from mesh.web.static_files import StaticFiles, read_folder
from services.lake.status import LakeStatus

PATH, HERE = "/lake", Path(__file__).parent
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def page_routes(console: Console, lake: LakeStatus) -> list[HTTPRouteHandler]:
    """All of them, below `/lake`."""
    environment = console.templates(HERE / "templates")
    environment.globals |= {"at": _static().urls, "region_here": lake.region}
    environment.filters["size"] = size_in_words

    @get("/")
    async def show_lake(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Every table."""
        values = {"tables": await lake.tables(), "address": lake.address}
        return console.page(request, environment, "lake.html.j2", values)

    @get("/{name:str}")
    async def show_table(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        """One table by types of events, and how it is read."""
        found = next((one for one in await lake.tables() if one.name == name), None)
        if found is None:
            raise NotFoundException(f"the lake has no table {name}")
        return console.page(request, environment, "table.html.j2", {"table": found})

    return [show_lake, show_table, _static().route()]


def size_in_words(count: float) -> str:
    """`1_250_000` as `1.2 MB`."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} {_UNITS[-1]}"


@cache
def _static() -> StaticFiles:
    return StaticFiles(read_folder(HERE / "static"), mounted=PATH)
