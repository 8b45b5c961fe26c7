"""Problem details (RFC 9457): every refusal and failure of an HTTP service has this form."""

from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from mesh.errors import InvalidKey, MeshError, Unavailable
from mesh.observability.logs import log
from mesh.web.headers import security_headers


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal that says what to do (RFC 9457)."""

    title: str
    status: int
    detail: str


def problem(status: int, detail: str, *, headers: dict[str, str] | None = None) -> Response[bytes]:
    """A response of type `application/problem+json`."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/problem+json",
        headers={**security_headers(), **(headers or {})},
    )


def retry_later(status: int, detail: str, *, seconds: float) -> Response[bytes]:
    """A 429 or 503 with `Retry-After` in whole seconds (RFC 9110, 10.2.3)."""
    return problem(status, detail, headers={"Retry-After": str(max(1, -(-int(seconds * 1000) // 1000)))})


def http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What Litestar or a route handler refused."""
    return problem(error.status_code, error.detail, headers=error.headers)


def mesh_error(request: Request[Any, Any, Any], error: MeshError) -> Response[bytes]:
    """What the mesh could not do: 503 where the same request may succeed later, 400 for an impossible key."""
    if isinstance(error, Unavailable):
        return retry_later(503, f"not stored, try again: {error}", seconds=1)
    if isinstance(error, InvalidKey):
        return problem(400, str(error))
    return unexpected_error(request, error)


def unexpected_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A defect: it is logged, and the response says nothing of its cause."""
    log.error("request failed", path=request.url.path, exc_info=error)
    return problem(500, "something is wrong here, not with your request; it was logged")
