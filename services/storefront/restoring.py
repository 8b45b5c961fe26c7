"""Restoring: the cart behind an offer's link, and the discount that was decided for it, both from the log."""

import msgspec

from mesh import Mesh
from mesh.errors import InvalidKey, Unavailable
from mesh.events.cart import CartRecovered, CartUpdated
from mesh.events.offer import OfferDecided
from mesh.telemetry import log


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A cart as it was left: product ids with their quantities, and the coupon that the offer brought."""

    cart_id: str
    lines: dict[str, int]
    coupon: str | None = None
    percent: int = 0


async def restore(mesh: Mesh, cart_id: str, *, offer_id: str = "", coupon: str = "") -> Restored | None:
    """The cart; None where the log has none of that id, or it was emptied or bought.

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
    if updated is None or not updated.event.lines or story.last(CartRecovered) is not None:
        return None
    percent = 0
    for received in story.events:
        decided = received.event
        if isinstance(decided, OfferDecided) and decided.outcome == "sent" and decided.offer_id == offer_id:
            percent = decided.discount_percent if coupon and decided.coupon == coupon else 0
    lines: dict[str, int] = {}
    for line in updated.event.lines:
        lines[line.product_id] = lines.get(line.product_id, 0) + line.quantity
    return Restored(cart_id=cart_id, lines=lines, coupon=coupon if percent else None, percent=percent)
