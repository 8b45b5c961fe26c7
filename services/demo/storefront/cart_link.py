"""The cart or the coupon behind an offer's link, and the discount that was decided for it, from the log."""

import msgspec

from mesh import History, Mesh
from mesh.errors import InvalidKey, Unavailable
from mesh.events.cart import CartClosed, CartConverted, CartUpdated
from mesh.events.offer import OfferDecided, OfferRecovered
from mesh.events.order import OrderCreated
from mesh.observability.logs import log
from services.demo.storefront.catalogue import find

MOST = 99
"""Pieces of one product that the shop's cart holds."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A cart as it was left: product ids with their quantities, and the coupon that the offer brought."""

    cart_id: str
    lines: dict[str, int]
    coupon: str | None = None
    percent: int = 0


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """The coupon of an offer that is about no cart: it holds for the next cart that is bought. `about` is its key."""

    about: str
    coupon: str
    percent: int


async def find_offered(mesh: Mesh, about: str, *, offer_id: str, coupon: str) -> Offered | None:
    """The coupon as it was decided; None where the three do not belong together, or an order has followed the offer."""
    if not (about and offer_id and coupon):
        return None
    try:
        story = await mesh.history(about, "offer")
    except InvalidKey:
        return None
    except Unavailable as error:
        log.warning("a coupon cannot be checked just now", error=str(error))
        return None
    percent = 0 if story.last(OfferRecovered) else _percent(story, coupon, offer_id)
    return Offered(about=about, coupon=coupon, percent=percent) if percent else None


async def restore(mesh: Mesh, cart_id: str, *, offer_id: str = "", coupon: str = "") -> Restored | None:
    """The cart as far as the shop sells what is in it; None where the log has none, or it was emptied or bought.

    The discount holds only with the offer and the coupon that were decided for this very cart.
    """
    try:
        story = await mesh.history(cart_id, "cart", "offer")
    except InvalidKey:
        return None
    except Unavailable as error:
        log.warning("a cart cannot be restored just now", error=str(error))
        return None
    updated = story.last(CartUpdated)
    ends = [ended.sequence for kind in (CartConverted, CartClosed) if (ended := story.last(kind))]
    if updated is None or any(end > updated.sequence for end in ends):
        return None
    lines: dict[str, int] = {}
    for line in updated.event.lines:
        if find(line.product_id) is not None:
            lines[line.product_id] = min(lines.get(line.product_id, 0) + line.quantity, MOST)
    if not lines:
        return None
    percent = _percent(story, coupon, offer_id)
    return Restored(cart_id=cart_id, lines=lines, coupon=coupon if percent else None, percent=percent)


async def discount_of(
    mesh: Mesh, cart_id: str | None, coupon: str | None, reference: str, *, about: str | None = None
) -> int:
    """The percentage that was decided for this cart with this coupon; 0 where there is none, or it was used.

    Of an offer that was about no cart it is decided for what it was `about`. It holds for one order, which has this
    `reference`, however often that is sent. Raises Unavailable.
    """
    key = about or cart_id
    if not key or not coupon:
        return 0
    story = await mesh.history(key, "cart", "offer")
    for kind in (CartConverted, CartClosed, OfferRecovered):
        for ended in story.of(kind):
            order = await mesh.last(OrderCreated, ended.event.order_id)
            if order is None or order.event.reference != reference:
                return 0
    return _percent(story, coupon)


def _percent(story: History, coupon: str, offer_id: str | None = None) -> int:
    percent = 0
    for decided in (one.event for one in story.of(OfferDecided)):
        if decided.outcome == "approved" and offer_id in (None, decided.offer_id):
            percent = (decided.discount_percent or 0) if coupon and decided.coupon == coupon else 0
    return percent
