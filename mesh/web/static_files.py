"""Static files: style sheets, scripts and pictures under an address that changes with them, so that it never expires.

All files of a set share one address, so that modules find each other and are replaced at once.
"""

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
FOREVER = "public, max-age=31536000, immutable"
ONE_DAY = "public, max-age=86400"
REVALIDATE = "private, no-cache"
STATIC = "static"
"""The option of the route that serves them: everybody may have them, also where the page needs a sign-in."""


class StaticFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as browsers get it: plain and, where that is smaller, gzipped, with its digest."""

    plain: bytes
    gzipped: bytes | None
    media_type: str
    digest: str


def static_file(content: bytes | str, media_type: str, *, compress: bool = True) -> StaticFile:
    """A file to respond with; `compress=False` for what is compressed already."""
    plain = content.encode() if isinstance(content, str) else content
    gzipped = gzip.compress(plain, 9, mtime=0) if compress else None
    return StaticFile(
        plain=plain, gzipped=gzipped, media_type=media_type, digest=hashlib.sha256(plain).hexdigest()[:16]
    )


def read_folder(folder: Path) -> dict[str, StaticFile]:
    """The files of a folder by name, as far as they are of a known media type."""
    return {
        path.name: static_file(path.read_bytes(), MEDIA_TYPES[path.suffix], compress=path.suffix != ".png")
        for path in sorted(folder.iterdir())
        if path.suffix in MEDIA_TYPES
    }


def file_response(
    headers: Mapping[str, str], file: StaticFile, caching: str, *, vary: str = "", status: int = 200
) -> Response[bytes]:
    """The file for a request with these headers: gzipped for browsers that accept it, 304 for those that have it.

    `vary` names request headers, besides Accept-Encoding, on which the file depends (RFC 9110, 12.5.5 and 13.1.2).
    """
    entity_tag = f'"{file.digest}"'
    own = {
        "Cache-Control": caching,
        "ETag": entity_tag,
        "Vary": f"Accept-Encoding, {vary}" if vary else "Accept-Encoding",
    }
    if status == 200 and headers.get("if-none-match") == entity_tag:
        return Response(b"", status_code=304, headers=own)
    content = file.plain
    if file.gzipped is not None and "gzip" in headers.get("accept-encoding", ""):
        content, own["Content-Encoding"] = file.gzipped, "gzip"
    return Response(content, status_code=status, headers=own, media_type=file.media_type)


class StaticFiles:
    """Files by name, served below `path` under the digest of all of them together.

    `mounted` is the path below which the route itself stands, such as a page's.
    """

    def __init__(self, files: Mapping[str, StaticFile], *, path: str = "/static", mounted: str = "") -> None:
        self.files, self._path, self._mounted = dict(files), path, mounted
        digests = "".join(file.digest for file in self.files.values())
        self._digest = hashlib.sha256(digests.encode()).hexdigest()[:16]

    @property
    def urls(self) -> dict[str, str]:
        """Where each file is, by its name."""
        return {name: f"{self._mounted}{self._path}/{self._digest}/{name}" for name in self.files}

    def route(self) -> HTTPRouteHandler:
        """The route that serves them. A file of another release is 404, so that no release is mixed with another."""

        @get(f"{self._path}/{{digest:str}}/{{name:str}}", opt={STATIC: True})
        async def serve_static_file(
            request: Request[Any, Any, Any], digest: FromPath[str], name: FromPath[str]
        ) -> Response[bytes]:
            found = self.files.get(name)
            if found is None or digest != self._digest:
                raise NotFoundException("this file is no longer served; load the page again")
            return file_response(request.headers, found, FOREVER)

        return serve_static_file
