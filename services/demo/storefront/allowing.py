"""Allowing: a signed-in shopper allows mails again, and the shop's server says so.

A page's word does not lift what the link in a mail refused: anybody can send what a page can. A real shop does this for
whoever its session says is signed in; this demonstration has no passwords, so its pages name their visitor.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from litestar import Request, post
from litestar.exceptions import HTTPException, NotFoundException, PermissionDeniedException
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from mesh import Retry
from mesh.subjects import token
from services.demo.storefront.shop_server import ShopServer


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """The visitor who allows e-mail."""

    visitor_id: str


def serve_allowing(server: ShopServer) -> HTTPRouteHandler:
    """The route `POST /account/mail`: 204 once it is stored, 404 for a shop without a secret key."""

    @post("/account/mail", status_code=204)
    async def allow_mail(request: Request[Any, Any, Any], data: JSONBody[Allowed]) -> None:
        if urlsplit(request.headers.get("origin", "")).netloc != request.headers.get("host"):
            raise PermissionDeniedException("only the shop's own pages may say so")
        if not server.has_key:
            raise NotFoundException("this shop has no secret key: its pages say so themselves")
        granted = {"visitor_id": token(data.visitor_id, "visitor_id"), "channel": "email", "granted": True}
        head = {"id": uuid4().hex, "type": "consent_changed", "time": datetime.now(UTC)}
        try:
            taken = await server.report(head | granted)
        except Retry:
            raise HTTPException("the gateway takes nothing now", status_code=503) from None
        if not taken:
            raise HTTPException("the gateway refuses it", status_code=502)

    return allow_mail
