"""Files: what the pages load, the style sheet and scripts under an address that changes with them, and pictures."""

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from services.demo.storefront.front import front
from services.demo.storefront.pictures.raster import png
from services.demo.storefront.pictures.scene import svg

STATIC = Path(__file__).parent / "static"
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"
FOR_A_DAY = "public, max-age=86400"
ASK_AGAIN = "private, no-cache"


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A file as browsers get it: plain and, unless that saves nothing, gzipped, with its digest."""

    plain: bytes
    gzipped: bytes | None
    kind: str
    digest: str


def served(plain: bytes, kind: str, *, packed: bool = True) -> Served:
    """A file to answer with; `packed` where gzip makes it smaller."""
    digest = hashlib.sha256(plain).hexdigest()[:16]
    return Served(plain=plain, gzipped=gzip.compress(plain, 6, mtime=0) if packed else None, kind=kind, digest=digest)


def answer(asked: Mapping[str, str], file: Served, caching: str, *, status: int = 200) -> Response[bytes]:
    """The file, packed for browsers that unpack it; 304 where the browser has it already (RFC 9110, 13.1.2)."""
    entity = f'"{file.digest}"'
    headers = {"Cache-Control": caching, "ETag": entity, "Vary": "Accept-Encoding, Accept-Language, Cookie"}
    if caching != ASK_AGAIN:
        headers["Vary"] = "Accept-Encoding"
    if status == 200 and asked.get("if-none-match") == entity:
        return Response(b"", status_code=304, headers=headers)
    if file.gzipped is not None and "gzip" in asked.get("accept-encoding", ""):
        return Response(
            file.gzipped,
            status_code=status,
            headers={**headers, "Content-Encoding": "gzip"},
            media_type=file.kind,
        )
    return Response(file.plain, status_code=status, headers=headers, media_type=file.kind)


def serve_files() -> list[HTTPRouteHandler]:
    """The routes `/static/...`, `/pictures/...`, `/favicon.svg` and `/robots.txt`."""

    @get("/static/{edition:str}/{name:str}")
    async def serve_static(
        request: Request[Any, Any, Any], edition: FromPath[str], name: FromPath[str]
    ) -> Response[bytes]:
        found = _static().get(name)
        if found is None or edition != _edition():
            raise NotFoundException("this file is no longer served; load the page again")
        return answer(request.headers, found, FOR_EVER)

    @get("/pictures/{name:str}", sync_to_thread=True)
    def serve_picture(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        found = _picture(name)
        if found is None:
            raise NotFoundException("there is no such picture")
        return answer(request.headers, found, FOR_A_DAY)

    @get("/favicon.svg")
    async def serve_icon(request: Request[Any, Any, Any]) -> Response[bytes]:
        return answer(request.headers, _static()["favicon.svg"], FOR_A_DAY)

    @get("/robots.txt")
    async def serve_robots(request: Request[Any, Any, Any]) -> Response[bytes]:
        return answer(request.headers, _robots(), FOR_A_DAY)

    return [serve_static, serve_picture, serve_icon, serve_robots]


def addresses() -> dict[str, str]:
    """Where each static file is, by its name."""
    return {name: f"/static/{_edition()}/{name}" for name in _static()}


@cache
def _static() -> dict[str, Served]:
    return {
        path.name: served(path.read_bytes(), KINDS[path.suffix])
        for path in sorted(STATIC.iterdir())
        if path.suffix in KINDS
    }


@cache
def _edition() -> str:
    """All files together have one address, so that modules find each other and are replaced at once."""
    return hashlib.sha256("".join(file.digest for file in _static().values()).encode()).hexdigest()[:16]


@cache
def _robots() -> Served:
    return served(b"User-agent: *\nDisallow: /\n", "text/plain")


@cache
def _drawn(product_id: str) -> Served | None:
    drawn = front() if product_id == "front" else svg(product_id)
    return served(drawn, KINDS[".svg"]) if drawn else None


def _picture(name: str) -> Served | None:
    product_id, _, kind = name.rpartition(".")
    if kind == "svg":
        return _drawn(product_id)
    painted = png(product_id) if kind == "png" else None
    return served(painted, "image/png", packed=False) if painted else None
