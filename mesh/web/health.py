"""Health: `/healthz`, `/readyz` and `/metrics` as plain ASGI: a framework is half of a small process's start.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mesh.errors import MeshError
from mesh.mesh import Mesh

READY_WITHIN = timedelta(seconds=2)
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Answer = tuple[int, str, bytes]
"""Status, media type, body."""


async def unready(mesh: Mesh, *more: Mesh) -> str | None:
    """Why a process should not be asked for anything: JetStream does not answer, or its memory is not filled yet."""
    try:
        async with asyncio.timeout(READY_WITHIN.total_seconds()):
            await mesh.broker.stream_state(mesh.commerce)
    except (MeshError, TimeoutError) as error:
        return f"JetStream of {mesh.region} does not answer: {error}"
    return "; ".join(words for one in (mesh, *more) for check in one.readiness_checks if (words := check())) or None


def health_app(mesh: Mesh, *more: Mesh) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """The app: `/healthz` (this process runs), `/readyz`, `/metrics` (Prometheus)."""

    async def answer(path: str) -> Answer:
        match path:
            case "/healthz":
                return 200, "text/plain", b"ok\n"
            case "/readyz":
                reason = await unready(mesh, *more)
                return (503, "text/plain", f"{reason}\n".encode()) if reason else (200, "text/plain", b"ok\n")
            case "/metrics":
                return 200, CONTENT_TYPE_LATEST, generate_latest()
            case _:
                return 404, "text/plain", b"there are /healthz, /readyz and /metrics\n"

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
            return
        status, media, body = await answer(scope["path"])
        headers = [(b"content-type", media.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app
