"""Front: pages of other services under the console's own address, where no Ingress routes them.

`cartmesh up` gives each process the addresses of its region's services (`CARTMESH_URL_<SERVICE>`); in a cluster the
Ingress sends each page's path to its service, and this passes nothing on.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx

from mesh import Mesh
from mesh.page import Page
from mesh.runtime.discovery import discover
from mesh.runtime.worker import variable
from mesh.web.console import Console
from mesh.web.console_app import refusing_app

HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
        b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
"""Headers that are meant for one connection (RFC 9110, 7.6.1)."""
TIMEOUT = httpx.Timeout(10.0, read=None)
"""A stream of events may be silent for long; a service that cannot be connected to is soon given up."""


def front(mesh: Mesh, own: Sequence[Page]) -> "Front":
    """The app; its connections to the other services are closed when this one drains. `own` are the console's pages."""
    console = Console(mesh, own=own, pages=())
    made = Front(
        addresses(),
        nowhere=refusing_app(mesh, console, 404, "no page of the console is there"),
        silent=refusing_app(mesh, console, 502, "this page's service does not answer; try again in a moment"),
    )
    mesh.on_drain.append(made.close)
    return made


def addresses() -> dict[str, str]:
    """Path of a page -> base URL of its service, as far as this process knows it."""
    return {
        page.path: url.rstrip("/")
        for service in discover()
        for page in service.pages
        if service.name != "console" and (url := os.environ.get(f"CARTMESH_URL_{variable(service.name)}"))
    }


class Front:
    """A reverse proxy by path, as plain ASGI. `/` leads to the console.

    `nowhere` responds for what is nobody's page, `silent` for a page whose service cannot be connected to.
    """

    def __init__(self, targets: Mapping[str, str], *, nowhere: Any, silent: Any) -> None:
        self._targets, self._nowhere, self._silent = targets, nowhere, silent
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        )

    def close(self) -> None:
        """Let go of the other services, which would wait for these connections when they stop."""
        self._closing = asyncio.ensure_future(self._client.aclose())

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Respond."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        target = next((url for one, url in self._targets.items() if path == one or path.startswith(f"{one}/")), None)
        if path == "/":
            headers = [(b"location", b"/console"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 303, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        elif target is None:
            await self._nowhere(scope, receive, send)
        else:
            await self._forward(target, scope, receive, send)

    async def _forward(self, target: str, scope: dict[str, Any], receive: Any, send: Any) -> None:
        query = scope["query_string"].decode("latin-1")
        url = target + scope.get("raw_path", scope["path"].encode()).decode("latin-1").partition("?")[0]
        body = asyncio.Queue[bytes | None]()
        listening = asyncio.create_task(_listen(receive, body))
        request = self._client.build_request(
            scope["method"],
            url + (f"?{query}" if query else ""),
            headers=_forwarded(scope),
            content=_content(body) if scope["method"] not in ("GET", "HEAD") else None,
        )
        sending = asyncio.create_task(self._send(request, scope, send))
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, listening):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(sending, listening, return_exceptions=True)

    async def _send(self, request: httpx.Request, scope: dict[str, Any], send: Any) -> None:
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError:
            await self._silent(scope, _no_body, send)
            return
        try:
            headers = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in HOP_BY_HOP]
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            with suppress(httpx.HTTPError):  # what was begun ends here; a browser loads it again
                async for chunk in response.aiter_raw():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await response.aclose()


async def _listen(receive: Any, body: "asyncio.Queue[bytes | None]") -> None:
    """Pass the request's body on; return when the browser is gone."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body.put_nowait(message.get("body", b""))
        if not message.get("more_body", False):
            body.put_nowait(None)


async def _content(body: "asyncio.Queue[bytes | None]") -> AsyncIterator[bytes]:
    while (part := await body.get()) is not None:
        yield part


def _forwarded(scope: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """The browser's own headers, also Host: cookies and origins are the console's. And who it was."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in HOP_BY_HOP]
    peer = (scope.get("client") or ("unknown", 0))[0].encode()
    before = [value for name, value in kept if name.lower() == b"x-forwarded-for"]
    others = [(name, value) for name, value in kept if name.lower() != b"x-forwarded-for"]
    return [*others, (b"x-forwarded-for", b", ".join([*before, peer]))]


async def _no_body() -> dict[str, Any]:
    """The request's own body is being read for the other service."""
    return {"type": "http.request", "body": b"", "more_body": False}
