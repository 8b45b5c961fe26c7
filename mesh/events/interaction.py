"""What shoppers do in a storefront besides filling carts: high volume, kept for a month."""

from mesh.event import Event, event
from mesh.money import Money


@event(key="visitor_id")
class ProductViewed(Event):
    """A shopper looked at a product. `utc_offset`: the shopper's clock, minutes east of UTC."""

    visitor_id: str
    product_id: str
    session_id: str | None = None
    customer_id: str | None = None
    category: str | None = None
    brand: str | None = None
    price: Money | None = None
    referrer: str | None = None
    device: str | None = None
    utc_offset: int | None = None


@event(key="visitor_id")
class ProductSearched(Event):
    """A shopper searched the shop."""

    visitor_id: str
    query: str
    session_id: str | None = None
    customer_id: str | None = None
    results: int | None = None


@event(key="visitor_id")
class CheckoutStarted(Event):
    """A shopper went to the till."""

    visitor_id: str
    cart_id: str
    session_id: str | None = None
    customer_id: str | None = None
