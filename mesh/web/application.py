"""Application: what every Litestar application of the mesh is given, and how it answers with an event stream.

    Litestar([...], **shared_options(mesh))

Imported only where an application is built: it brings Litestar with it.
"""

from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import Any

from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.response import Stream
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from mesh.errors import MeshError
from mesh.mesh import Mesh
from mesh.observability.metrics import REQUESTING, REQUESTS
from mesh.settings import read
from mesh.web.body_deadline import BodySettings, body_deadline
from mesh.web.headers import STRICT, response_headers
from mesh.web.problems import http_error, mesh_error, unexpected_error


def shared_options(mesh: Mesh, *, policy: str = STRICT) -> dict[str, Any]:
    """Keyword arguments of `Litestar` that all services share; `policy` is the Content-Security-Policy."""
    return {
        "openapi_config": None,
        "logging_config": None,
        "exception_handlers": {HTTPException: http_error, MeshError: mesh_error, Exception: unexpected_error},
        "response_headers": response_headers(policy),
        "tags": [mesh.service],
        "middleware": [_request_metrics(mesh.service), body_deadline(read(BodySettings).http_body_deadline)],
    }


def event_stream_response(stream: AsyncIterator[bytes]) -> Stream:
    """A response that stays open and that nothing on the way may keep or buffer."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(stream, media_type="text/event-stream", headers=headers)


def _request_metrics(service: str) -> Callable[[ASGIApp], ASGIApp]:
    """Requests by route and status, and how long each waited for the head of its response."""

    def wrap(app: ASGIApp) -> ASGIApp:
        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            began, route = perf_counter(), str(scope.get("path_template") or "other")

            async def send_counted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    REQUESTS.labels(service, route, str(message["status"])).inc()
                    REQUESTING.labels(service, route).observe(perf_counter() - began)
                await send(message)

            await app(scope, receive, send_counted)

        return respond

    return wrap
