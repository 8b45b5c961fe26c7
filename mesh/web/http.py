"""HTTP: what every HTTP service answers alike: problems (RFC 9457), health, metrics, security headers.

    Litestar([..., *http.health(mesh)], **http.shared(mesh))

Imported only where an app is built: it brings Litestar with it.
"""

from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.datastructures import ResponseHeader
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mesh.errors import InvalidKey, MeshError, Unavailable
from mesh.mesh import Mesh
from mesh.observability.logs import log
from mesh.observability.metrics import REQUESTING, REQUESTS
from mesh.web.health import unready

STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
"""The Content-Security-Policy of every answer that does not bring its own."""

_SECURITY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal that says what to do (RFC 9457)."""

    title: str
    status: int
    detail: str


def problem(status: int, detail: str, *, headers: dict[str, str] | None = None) -> Response[bytes]:
    """An `application/problem+json` answer."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/problem+json",
        headers={**_SECURITY, "Content-Security-Policy": STRICT, **(headers or {})},
    )


def retry_later(status: int, detail: str, *, seconds: float) -> Response[bytes]:
    """A 429 or 503 with `Retry-After` in whole seconds (RFC 9110, 10.2.3)."""
    return problem(status, detail, headers={"Retry-After": str(max(1, -(-int(seconds * 1000) // 1000)))})


def shared(mesh: Mesh, *, policy: str = STRICT) -> dict[str, Any]:
    """Keyword arguments of `Litestar` that all services share."""
    return {
        "openapi_config": None,
        "logging_config": None,
        "exception_handlers": {HTTPException: _refused, MeshError: _mesh_error, Exception: _broken},
        "response_headers": security_headers(policy),
        "tags": [mesh.service],
        "middleware": [_counted(mesh.service)],
    }


def _counted(service: str) -> Callable[[ASGIApp], ASGIApp]:
    """Requests by route and status, and how long each waited for the head of its answer."""

    def wrap(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            began, route = perf_counter(), str(scope.get("path_template") or "other")

            async def tell(message: Message) -> None:
                if message["type"] == "http.response.start":
                    REQUESTS.labels(service, route, str(message["status"])).inc()
                    REQUESTING.labels(service, route).observe(perf_counter() - began)
                await send(message)

            await app(scope, receive, tell)

        return answer

    return wrap


def security_headers(policy: str = STRICT) -> list[ResponseHeader]:
    """Headers that keep a browser from doing more with an answer than it was meant for."""
    told = {"Content-Security-Policy": policy, **_SECURITY}
    return [ResponseHeader(name=name, value=value) for name, value in told.items()]


def health(mesh: Mesh, *more: Mesh) -> list[HTTPRouteHandler]:
    """`/healthz` (this process runs), `/readyz`, `/metrics` (Prometheus).

    Ready: JetStream answers, and what the process keeps in its memory is filled from the log. `more` are the
    meshes of further services in the process.
    """

    @get("/healthz", media_type=MediaType.TEXT)
    async def tell_alive() -> str:
        return "ok\n"

    @get("/readyz", media_type=MediaType.TEXT)
    async def tell_ready() -> Response[Any]:
        if doubt := await unready(mesh, *more):
            return retry_later(503, doubt, seconds=1)
        return Response("ok\n", media_type=MediaType.TEXT)

    @get("/metrics")
    async def tell_metrics() -> Response[bytes]:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [tell_alive, tell_ready, tell_metrics]


def _refused(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    return problem(error.status_code, error.detail, headers=error.headers)


def _mesh_error(request: Request[Any, Any, Any], error: MeshError) -> Response[bytes]:
    if isinstance(error, Unavailable):
        return retry_later(503, f"not stored, try again: {error}", seconds=1)
    if isinstance(error, InvalidKey):
        return problem(400, str(error))
    return _broken(request, error)


def _broken(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.error("request failed", path=request.url.path, exc_info=error)
    return problem(500, "something is wrong here, not with your request; it was logged")
