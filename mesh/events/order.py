"""Orders, as the storefront places them."""

from hashlib import blake2b

from mesh.event import Event, event
from mesh.events.cart import CartLine
from mesh.money import Money


@event(key="order_id")
class OrderPlaced(Event):
    """A shopper placed an order. `cart_id` is the cart it came from, where there was one."""

    order_id: str
    visitor_id: str
    lines: tuple[CartLine, ...]
    total: Money
    cart_id: str | None = None
    session_id: str | None = None
    customer_id: str | None = None
    coupon: str | None = None


@event(key="shopper")
class PurchaseMarked(Event):
    """An order is noted under each name of its shopper (`shoppers`), in one commit with it.

    Whoever decides something on condition that a shopper has not bought has one exact subject to look at,
    whichever of their carts it is about.
    """

    shopper: str
    order_id: str


def shoppers(visitor_id: str, customer_id: str | None) -> list[str]:
    """The names of a shopper: the device and, where known, the customer. Digests: ids may be longer than keys."""
    names = [f"visitor\x1f{visitor_id}"] + ([f"customer\x1f{customer_id}"] if customer_id else [])
    return [blake2b(name.encode(), digest_size=16).hexdigest() for name in names]
