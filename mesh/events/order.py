"""Orders, as pages report them and as the shop's server confirms them."""

import msgspec

from mesh.event import Event, event
from mesh.events.cart import CartLine
from mesh.money import Money


@event(key="order_id")
class OrderPlaced(Event):
    """A shopper placed an order, as `by` reports it: enough to stop offers, and no revenue.

    `by` is `page` or `server`; anybody can send what a page can. `cart_id` is the cart it came from, where there was
    one.
    """

    order_id: str
    visitor_id: str
    lines: tuple[CartLine, ...]
    total: Money
    cart_id: str | None = None
    session_id: str | None = None
    customer_id: str | None = None
    coupon: str | None = None
    by: str = "page"


@event(key="report_id")
class OrderReportRefused(Event):
    """An order was reported in a form that is not accepted (`path`, `reason`): who bought is certain all the same.

    It stops the shopper's offers as an order does. At least one of visitor, cart and customer is known.
    """

    report_id: str
    path: str
    reason: str
    visitor_id: str | None = None
    cart_id: str | None = None
    customer_id: str | None = None


@event(key="order_id")
class OrderConfirmed(Event):
    """The shop's own server confirmed an order, once: it counts as revenue."""

    order_id: str
    lines: tuple[CartLine, ...]
    total: Money
    visitor_id: str | None = None
    cart_id: str | None = None
    session_id: str | None = None
    customer_id: str | None = None
    coupon: str | None = None


@event(key="shopper")
class PurchaseMarked(Event):
    """An order is noted under each name of its shopper (`mesh.profiles.digests_of`), in one commit with it.

    Whoever decides something on condition that a shopper has not bought has one exact subject to look at,
    whichever of their carts it is about. `bought` is how many pieces of each product were ordered; empty where that is
    not known, as of an order that was refused.
    """

    shopper: str
    order_id: str
    bought: dict[str, int] = msgspec.field(default_factory=dict)
