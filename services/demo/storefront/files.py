"""Files: what the pages load, the style sheet and scripts under an address that changes with them, and pictures."""

from functools import cache
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh.web.static_files import (
    MEDIA_TYPES,
    ONE_DAY,
    REVALIDATE,
    StaticFile,
    StaticFiles,
    file_response,
    read_folder,
    static_file,
)
from services.demo.storefront.front_picture import front
from services.demo.storefront.pictures.raster import png
from services.demo.storefront.pictures.scene import svg

STATIC = Path(__file__).parent / "static"


def serve_files(gateway: str) -> list[HTTPRouteHandler]:
    """The routes `/static/...`, `/pictures/...`, `/favicon.svg`, `/robots.txt` and `/cartmesh-worker.js`."""
    worker = static_file(f'importScripts("{gateway}/v1/cartmesh-worker.js")\n'.encode(), MEDIA_TYPES[".js"])

    @get("/pictures/{name:str}", sync_to_thread=True)
    def serve_picture(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        found = _picture(name)
        if found is None:
            raise NotFoundException("there is no such picture")
        return file_response(request.headers, found, ONE_DAY)

    @get("/favicon.svg")
    async def serve_icon(request: Request[Any, Any, Any]) -> Response[bytes]:
        return file_response(request.headers, static().files["favicon.svg"], ONE_DAY)

    @get("/robots.txt")
    async def serve_robots(request: Request[Any, Any, Any]) -> Response[bytes]:
        return file_response(request.headers, _robots(), ONE_DAY)

    @get("/cartmesh-worker.js")
    async def serve_worker(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not gateway:
            raise NotFoundException("there is no gateway")
        return file_response(request.headers, worker, REVALIDATE)

    return [static().route(), serve_picture, serve_icon, serve_robots, serve_worker]


@cache
def static() -> StaticFiles:
    """The style sheet, the scripts and the icon."""
    return StaticFiles(read_folder(STATIC))


@cache
def _robots() -> StaticFile:
    return static_file(b"User-agent: *\nDisallow: /\n", "text/plain")


@cache
def _drawn(product_id: str) -> StaticFile | None:
    drawn = front() if product_id == "front" else svg(product_id)
    return static_file(drawn, MEDIA_TYPES[".svg"]) if drawn else None


def _picture(name: str) -> StaticFile | None:
    product_id, _, kind = name.rpartition(".")
    if kind == "svg":
        return _drawn(product_id)
    painted = png(product_id) if kind == "png" else None
    return static_file(painted, "image/png", compress=False) if painted else None
