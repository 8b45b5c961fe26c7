"""Real cart: what a cart that was left holds, to look at a mail that is not sent. Nothing in it says who left it."""

from datetime import datetime

import msgspec

from mesh import Mesh
from mesh.errors import InvalidKey
from mesh.events.cart import CartAbandoned, CartLine, CartScored
from mesh.events.offer import OfferDecided
from mesh.events.user import Recommendation
from mesh.money import Money
from notifications.cart_timeline import read_timeline
from notifications.channels.content import current_content
from notifications.sample import sample


class RealCart(msgspec.Struct, frozen=True, kw_only=True):
    """A cart as it was left last, and where; `visitor_id` names a device, and is for whoever may know who it is."""

    cart_id: str
    visitor_id: str
    region: str
    lines: tuple[CartLine, ...]
    total: Money
    left_at: datetime
    recommended: tuple[Recommendation, ...] = ()

    def in_place_of(self, sample: OfferDecided) -> OfferDecided:
        """An offer for this cart, which is the sample's in all else."""
        own = {"lines": self.lines, "total": self.total, "recommended": self.recommended, "cart_id": self.cart_id}
        return msgspec.structs.replace(sample, **own)


async def read_real_cart(mesh: Mesh, cart_id: str) -> RealCart | None:
    """A cart by its id; None where no such cart was left, as far as is known here. Raises Unavailable.

    Names, pictures and prices are those of the catalogue now, as in a mail that is sent now.
    """
    try:
        history = await read_timeline(mesh, cart_id)
    except InvalidKey:
        return None
    left = next((one for one in reversed(history) if isinstance(one.event, CartAbandoned) and one.event.lines), None)
    if left is None:
        return None
    scored = (one.event.recommended for one in reversed(history) if isinstance(one.event, CartScored | OfferDecided))
    cart = RealCart(
        cart_id=cart_id,
        visitor_id=left.event.visitor_id,
        region=left.region,
        lines=left.event.lines,
        total=left.event.total,
        left_at=left.event.left_at,
        recommended=next((some for some in scored if some), ()),
    )
    shown = await current_content(cart.in_place_of(sample("en")[0]), mesh)
    if not shown.lines or shown.total is None:  # nothing of it can be bought any more: as it was left
        return cart
    return msgspec.structs.replace(cart, lines=shown.lines, total=shown.total, recommended=shown.recommended)
