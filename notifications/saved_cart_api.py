"""Saved-cart API: what a shop's page asks with the token of a mail's cart link. It needs no key: the token is one."""

from typing import Any

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh import Mesh
from mesh.errors import Unavailable
from notifications.saved_cart import read_saved_cart
from notifications.saved_cart_token import unseal
from notifications.unsubscribe_token import LinkSettings

HEADERS = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""Pages of any origin may ask: no cookie is looked at, and who has the token may read the cart."""


def saved_carts(mesh: Mesh, settings: LinkSettings) -> list[HTTPRouteHandler]:
    """GET alone: nothing changes by it."""

    @get("/carts/{token:str}")
    async def show_saved_cart(token: FromPath[str]) -> Response[bytes]:
        """The cart as it can be bought now, and what has changed since the mail. 404: no cart of ours."""
        link = unseal(token, settings.secret, settings.secret_before)
        if link is None:
            return _answer({"detail": "This is no token of a cart link: take `saved` from the link as it is"}, 404)
        try:
            found = await read_saved_cart(link, mesh)
        except Unavailable:
            return _answer({"detail": "The cart cannot be read just now: ask again"}, 503, {"Retry-After": "5"})
        if found is None:
            return _answer({"detail": "Nothing is known of this cart any more"}, 404)
        return _answer(found, 200)

    return [show_saved_cart]


def _answer(body: Any, status: int, more: dict[str, str] | None = None) -> Response[bytes]:
    headers = HEADERS | (more or {})
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json", headers=headers)
