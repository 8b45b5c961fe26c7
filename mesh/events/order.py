"""Orders: as pages report them, as the shop takes them over HTTP, and what becomes of them."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from mesh.event import Event, event
from mesh.events.cart import CartLine
from mesh.events.code import OrderCode
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


@event(key="region", ttl=timedelta(minutes=10))
class PurchaseHeartbeat(Event):
    """Every purchase that a region had stored by `at` lies before this in the same stream.

    Streams are copied one by one, so only what follows the purchases shows that another region has received them.
    """

    region: str
    at: datetime


Asker = Literal["customer", "shop", "checkout"]
"""Who wants something of an order: its buyer, the shop's own people, or the checkout that could not finish it."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """The request that an event of an order follows from: the same `key` with another `body` is refused.

    Both are digests, of the sender's Idempotency-Key and of what was sent under it.
    """

    key: str
    body: str


class OrderedPieces(msgspec.Struct, frozen=True, kw_only=True):
    """Some pieces of a product of an order."""

    product_id: str
    quantity: int


class BuyerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a fraud check compares of a buyer.

    `email`, `address` (of the parcel) and `billing_address` are keyed digests: nobody without the key can try addresses
    against them (`mesh.profiles`). Countries are codes of ISO 3166.
    """

    email: str | None = None
    address: str | None = None
    billing_address: str | None = None
    delivery_country: str | None = None
    billing_country: str | None = None
    account_created: datetime | None = None


@event(key="order_id")
class OrderCreated(Event):
    """The shop took an order over HTTP, at the prices of its catalogue: the checkout begins.

    `order_id` follows from the sender and its Idempotency-Key. `payment_method` is the provider's token of a card,
    never a card's number. `address_id` names the delivery address, whose `order.delivery_addressed` stays in the
    region. `reference` is the shop's own number of the order. What a `coupon` takes off is taken off the lines' prices.
    `code` is what is known of the coupon where its discount was reckoned here; the checkout redeems it.
    """

    order_id: str
    lines: tuple[CartLine, ...]
    total: Money
    payment_method: str
    command: Command
    visitor_id: str | None = None
    customer_id: str | None = None
    cart_id: str | None = None
    session_id: str | None = None
    address_id: str | None = None
    reference: str | None = None
    buyer: BuyerFacts | None = None
    coupon: str | None = None
    code: OrderCode | None = None


@event(key="order_id", personal=True, encrypted=("name", "street", "postal_code", "city", "country", "email", "phone"))
class OrderDeliveryAddressed(Event):
    """Where an order's parcel goes, and whom to write to. Personal; of several the one that the order names counts.

    Every field but the ids is stored encrypted under a key of the order. `phone` is in the form of E.164.
    """

    order_id: str
    address_id: str
    name: str | None = None
    street: str | None = None
    postal_code: str | None = None
    city: str | None = None
    country: str | None = None
    email: str | None = None
    phone: str | None = None


@event(key="order_id")
class OrderReaddressed(Event):
    """The parcel goes to another address, which was not too late: nothing had been handed to shipping."""

    order_id: str
    address_id: str
    command: Command


@event(key="order_id")
class OrderConfirmationRequested(Event):
    """The checkout holds stock and payment: the order is to be confirmed, or is found cancelled."""

    order_id: str


@event(key="order_id")
class OrderCancellationRequested(Event):
    """The checkout could not finish the order and has undone its steps: it is to be cancelled."""

    order_id: str
    reason: str


@event(key="order_id")
class OrderCancelled(Event):
    """An order was cancelled before anything was shipped, or a part of it: `lines` for `amount` this time.

    `left` are the lines that remain (none: the whole order is cancelled), `total` is what they cost. Whoever sends
    mails tells the customer by it.
    """

    order_id: str
    lines: tuple[OrderedPieces, ...]
    amount: Money
    left: tuple[CartLine, ...]
    total: Money
    by: Asker
    reason: str = ""
    command: Command | None = None


@event(key="order_id")
class OrderReturned(Event):
    """Pieces of a shipped order came back: `lines` for `amount` this time.

    `all_lines` is all that came back so far, and `total` what it cost: as much is to be paid back.
    """

    order_id: str
    lines: tuple[OrderedPieces, ...]
    amount: Money
    all_lines: tuple[OrderedPieces, ...]
    total: Money
    reason: str = ""
    command: Command | None = None


@event(key="order_id")
class OrderCancellationReported(Event):
    """A shop system that takes the shop's orders itself cancelled one as a whole: `lines` and `total` as ordered."""

    order_id: str
    lines: tuple[CartLine, ...]
    total: Money
    asked_by: Literal["customer", "shop"] = "shop"
    reason: str = ""
    visitor_id: str | None = None
    customer_id: str | None = None


@event(key="order_id")
class OrderRefundReported(Event):
    """A shop system that takes the shop's orders itself paid money back: `amount` by this refund alone.

    `refund_id` names it within the order, so that it counts once, however often and in whatever order it is reported.
    """

    order_id: str
    refund_id: str
    amount: Money
    visitor_id: str | None = None
    customer_id: str | None = None


@event(key="order_id")
class OrderRefunded(Event):
    """Money was paid back for an order; `refunded` is all that was paid back so far."""

    order_id: str
    refunded: Money
