"""The browser script: served so that it may be cached for ever by its content's hash, with its tag and its types."""

import base64
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

FOLDER = Path(__file__).parent / "browser"
FOR_EVER = "public, max-age=31536000, immutable"
ANYWHERE = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
JAVASCRIPT = "text/javascript; charset=utf-8"
A_WHILE = "public, max-age=300, stale-while-revalidate=86400"


@dataclass(frozen=True, kw_only=True)
class Described:
    """A path for the documentation. `parameters` are tuples of name, where it stands, what it is, and an example."""

    summary: str
    description: str
    parameters: tuple[tuple[str, str, str, str], ...] = ()


PATHS = {
    "/v1/tag": Described(
        summary="The script tag to paste into a page",
        description="Prints the tag with the script's hash, so that browsers run this version and no other. Paste it "
        "into the head of every page.\n\n```sh\ncurl 'http://127.0.0.1:8080/v1/tag?key=demo'\n```",
        parameters=(("key", "query", "The public key that the tag will send with", "demo"),),
    ),
    "/v1/cartmesh.js": Described(
        summary="The browser script, newest version",
        description="For a page that always wants the newest script. Browsers keep it for five minutes.\n\n"
        "```html\n<script async src='http://127.0.0.1:8080/v1/cartmesh.js' data-key='demo'></script>\n```",
    ),
    "/v1/lib/{digest}/cartmesh.js": Described(
        summary="The browser script of one version",
        description="What the tag of `/v1/tag` loads: it may be cached for ever, because its address changes with it.",
        parameters=(("digest", "path", "The version, as it stands in the tag", ""),),
    ),
    "/v1/cartmesh-push.js": Described(
        summary="The browser script for notifications",
        description="A module that asks the shopper, subscribes, and reports it.\n\n```js\n"
        "import { subscribe } from 'http://127.0.0.1:8080/v1/cartmesh-push.js'\n"
        "button.onclick = () => subscribe({ key: 'CARTMESH_PUSH_PUBLIC_KEY' })\n```",
    ),
    "/v1/cartmesh-worker.js": Described(
        summary="The service worker that shows notifications",
        description="The shop has a file `/cartmesh-worker.js` at its root with this one line:\n\n```js\n"
        "importScripts('http://127.0.0.1:8080/v1/cartmesh-worker.js')\n```",
    ),
    "/v1/cartmesh.d.ts": Described(
        summary="The TypeScript types of the browser script",
        description="Save it beside your code, and `window.cartmesh` is typed.\n\n"
        "```sh\ncurl -o cartmesh.d.ts http://127.0.0.1:8080/v1/cartmesh.d.ts\n```",
    ),
}
"""What is served here, for the documentation."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """The script as browsers get it: its bytes, plain and gzipped, and how its content is named.

    `digest` stands in its path; `integrity` is its hash as pages state it (https://www.w3.org/TR/SRI/).
    """

    plain: bytes
    gzipped: bytes
    digest: str
    integrity: str


@cache
def script() -> Script:
    """The script, read once: the source without its indentation and its lines of comment."""
    lines = (line.strip() for line in (FOLDER / "cartmesh.js").read_text(encoding="utf-8").splitlines())
    plain = "\n".join(line for line in lines if line and not line.startswith("//")).encode()
    digest = hashlib.sha384(plain).digest()
    return Script(
        plain=plain,
        gzipped=gzip.compress(plain, 9, mtime=0),
        digest=digest.hex()[:16],
        integrity=f"sha384-{base64.b64encode(digest).decode()}",
    )


def tag(gateway: str, key: str) -> str:
    """The script tag for a gateway's address and a write key: this version of the script and no other."""
    served = script()
    return (
        "<script>window.cartmesh ||= []</script>\n"
        f'<script async src="{escape(gateway.rstrip("/"))}/v1/lib/{served.digest}/cartmesh.js"\n'
        f'  integrity="{served.integrity}" crossorigin="anonymous"\n'
        f'  data-key="{escape(key)}" data-region="auto"></script>\n'
    )


def files() -> list[HTTPRouteHandler]:
    """The routes of `PATHS`."""

    @get("/v1/cartmesh.js")
    async def serve_newest(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _served(request.headers, A_WHILE)

    @get("/v1/lib/{digest:str}/cartmesh.js")
    async def serve_version(request: Request[Any, Any, Any], digest: FromPath[str]) -> Response[bytes]:
        if digest != script().digest:
            raise HTTPException("this version is no longer served; /v1/tag prints today's tag", status_code=404)
        return _served(request.headers, FOR_EVER)

    @get(["/v1/cartmesh-push.js", "/v1/cartmesh-worker.js"])
    async def serve_push(request: Request[Any, Any, Any]) -> Response[bytes]:
        content = (FOLDER / Path(request.url.path).name).read_bytes()
        return Response(content, headers={"Cache-Control": A_WHILE, **ANYWHERE}, media_type=JAVASCRIPT)

    @get("/v1/cartmesh.d.ts", media_type=MediaType.TEXT)
    async def serve_types() -> str:
        return (FOLDER / "cartmesh.d.ts").read_text(encoding="utf-8")

    @get("/v1/tag", media_type=MediaType.TEXT)
    async def print_tag(request: Request[Any, Any, Any], key: FromQuery[str] = "demo") -> str:
        return tag(str(request.base_url), key)

    return [serve_newest, serve_version, serve_push, serve_types, print_tag]


def _served(asked: Mapping[str, str], caching: str) -> Response[bytes]:
    """The script, gzipped where the browser takes that; 304 where it has this version already."""
    served = script()
    entity = f'"{served.digest}"'
    headers = {
        "Cache-Control": caching,
        "ETag": entity,
        "Vary": "Accept-Encoding",
        **ANYWHERE,
    }
    if asked.get("if-none-match") == entity:
        return Response(b"", status_code=304, headers=headers)
    packed = "gzip" in asked.get("accept-encoding", "")
    return Response(
        served.gzipped if packed else served.plain,
        headers={**headers, "Content-Encoding": "gzip"} if packed else headers,
        media_type=JAVASCRIPT,
    )
