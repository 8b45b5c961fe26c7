"""An approved offer, for tests of what becomes of it."""

from datetime import UTC, datetime
from typing import Any

from mesh import Money
from mesh.events.cart import CartLine
from mesh.events.offer import OfferDecided

LINE = CartLine(product_id="p1", quantity=1, price=Money(amount=4500, currency="EUR"), name="Lamp")


def approved_offer(at: int = 1, **changes: Any) -> OfferDecided:
    """The offer of the visitor `v<at>` for the cart `c<at>`, to be sent by e-mail, with other fields where given."""
    fields = {
        "cart_id": f"c{at}",
        "visitor_id": f"v{at}",
        "offer_id": f"offer-{at}",
        "abandonment_id": f"left-{at}",
        "attempt": 1,
        "outcome": "approved",
        "reason": "",
        "checks": (),
        "journey": "abandoned-cart",
        "due": datetime.now(UTC),
        "channels": ("email",),
        "template": "abandoned-cart",
        "lines": (LINE,),
        "total": LINE.price,
    }
    return OfferDecided(**(fields | changes))
