"""Orders, as the storefront places them."""

from mesh.event import Event, Money, event
from mesh.events.cart import CartLine


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
