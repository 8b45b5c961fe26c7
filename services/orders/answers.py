"""Answers: what both interfaces of orders have in common."""

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from mesh.web.server_keys import BEARER, ServerKeys


def scope_of(keys: ServerKeys, request: Request[Any, Any, Any]) -> str:
    """Whose server key the request has. Raises 401."""
    scope = keys.scope(request.headers.get("authorization"))
    if scope is None:
        words = "send `Authorization: Bearer <server key>`; the keys are the setting CARTMESH_SERVER_KEYS"
        raise HTTPException(words, status_code=401, headers=BEARER)
    return scope


def json_response(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """A value as JSON, which nobody on the way keeps."""
    kept = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json", headers=kept)
