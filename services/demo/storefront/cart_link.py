"""The cart behind an offer's link, and the discount that was decided for it, both from the log."""

import msgspec

from mesh import Mesh
from mesh.errors import InvalidKey, Unavailable
from mesh.events.cart import CartClosed, CartConverted, CartUpdated
from mesh.events.offer import OfferDecided
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
    percent = 0
    for received in story.events:
        decided = received.event
        if isinstance(decided, OfferDecided) and decided.outcome == "approved" and decided.offer_id == offer_id:
            percent = decided.discount_percent if coupon and decided.coupon == coupon else 0
    return Restored(cart_id=cart_id, lines=lines, coupon=coupon if percent else None, percent=percent)
