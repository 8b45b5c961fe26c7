"""Saved carts: the shop's server before the interface behind the links of mails, which knows what became of a cart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

import msgspec

from mesh import Money, settings
from mesh.observability.logs import log
from services.demo.storefront.cart_link import MOST, Restored
from services.demo.storefront.catalogue import find

if TYPE_CHECKING:
    import httpx


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the cart: of what the interface says of it, what this shop uses."""

    product_id: str
    quantity: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is not as it was in the mail."""

    kind: Literal["price", "quantity", "added", "removed", "bought", "sold_out"]
    product_id: str
    price_before: Money | None = None
    price: Money | None = None


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /carts/<token>`."""

    cart_id: str
    status: Literal["open", "bought", "emptied"]
    lines: tuple[Line, ...] = ()
    coupon: str | None = None
    discount_percent: int = 0
    changes: tuple[Change, ...] = ()

    def restored(self) -> Restored | None:
        """The cart as far as the shop sells what is in it; None where nothing is left of it."""
        lines: dict[str, int] = {}
        for line in self.lines:
            if find(line.product_id) is not None:
                lines[line.product_id] = min(lines.get(line.product_id, 0) + line.quantity, MOST)
        if not lines:
            return None
        return Restored(cart_id=self.cart_id, lines=lines, coupon=self.coupon, percent=self.discount_percent)


class LinkAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where the service `links` is; empty: there is none, and no cart is asked for."""

    url_links: str = ""


class SavedCarts:
    """Asks for the carts of mails' links."""

    def __init__(self, links: "httpx.AsyncClient") -> None:
        self._links = links

    async def find(self, token: str) -> Saved | None:
        """The cart of a token; None where there is none, or it cannot be said now."""
        import httpx  # noqa: PLC0415  every process imports the service, only this one speaks HTTP

        try:
            answer = await self._links.get(f"/carts/{token}")
        except (httpx.TransportError, httpx.InvalidURL) as error:
            log.warning("a cart cannot be asked for", error=str(error))
            return None
        return msgspec.json.decode(answer.content, type=Saved) if answer.status_code == HTTPStatus.OK else None


@asynccontextmanager
async def open_saved_carts() -> AsyncIterator[SavedCarts | None]:
    """With the address that the settings name; None without one."""
    import httpx  # noqa: PLC0415  see above

    address = settings.read(LinkAddress).url_links
    if not address:
        yield None
        return
    async with httpx.AsyncClient(base_url=address.rstrip("/"), timeout=3) as links:
        yield SavedCarts(links)
