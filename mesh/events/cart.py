"""The life of a cart: filled, left, scored, recovered, bought."""

from datetime import datetime, timedelta

import msgspec

from mesh.event import Event, event
from mesh.events.user import Advice, Evidence, Reason, Recommendation
from mesh.money import Money


class CartLine(msgspec.Struct, frozen=True, kw_only=True):
    """A product in a cart; `price` is for one piece."""

    product_id: str
    quantity: int
    price: Money
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    image: str | None = None
    url: str | None = None


@event(key="cart_id")
class CartUpdated(Event):
    """A cart as it is now, whole. No lines: the shopper emptied it. `utc_offset`: the shopper's, minutes east.

    `refused` says why an update of the cart was not accepted: what the cart holds is then unknown, and it has no lines.
    """

    cart_id: str
    visitor_id: str
    lines: tuple[CartLine, ...]
    session_id: str | None = None
    customer_id: str | None = None
    device: str | None = None
    utc_offset: int | None = None
    refused: str | None = None


@event(key="cart_id")
class CartLineAdded(Event):
    """A shopper put pieces of a product into a cart, as shops report it that do not send the whole cart.

    The cart that it makes is stored with it, as a `cart.updated`.
    """

    cart_id: str
    visitor_id: str
    product_id: str
    quantity: int
    price: Money
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    image: str | None = None
    url: str | None = None
    session_id: str | None = None
    customer_id: str | None = None
    device: str | None = None
    utc_offset: int | None = None


@event(key="cart_id")
class CartLineRemoved(Event):
    """A shopper took pieces of a product out of a cart; without `quantity` all of them. See `CartLineAdded`."""

    cart_id: str
    visitor_id: str
    product_id: str
    quantity: int | None = None
    session_id: str | None = None
    customer_id: str | None = None
    device: str | None = None
    utc_offset: int | None = None


@event(key="cart_id")
class CartIdle(Event):
    """Nobody touched a cart for the time `after`. `update_id` is the update it was waiting on."""

    cart_id: str
    update_id: str
    after: timedelta = timedelta(0)


@event(key="cart_id")
class CartAbandoned(Event):
    """A shopper left a filled cart. `due` is when its idle timer was due; this event's id names the abandonment.

    `update_id` is the update that was the cart's newest when it was judged.
    """

    cart_id: str
    visitor_id: str
    lines: tuple[CartLine, ...]
    total: Money
    left_at: datetime
    due: datetime
    update_id: str | None = None
    session_id: str | None = None
    customer_id: str | None = None


@event(key="cart_id")
class CartScored(Event):
    """An abandoned cart was scored: will the shopper return unaided, and what else would they like.

    `abandonment_id` is the id of the `CartAbandoned`; `propensity` in 0..1 is the probability of
    buying without an offer; `reasons` are the three strongest; `recommended` products, best first.
    """

    cart_id: str
    visitor_id: str
    abandonment_id: str
    propensity: float
    model_version: str
    reasons: tuple[Reason, ...]
    recommended: tuple[Recommendation, ...]
    evidence: Evidence | None = None
    advice: Advice | None = None


@event(key="cart_id")
class CartConverted(Event):
    """A cart became an order in this region, in one commit with it."""

    cart_id: str
    order_id: str
    visitor_id: str


@event(key="cart_id")
class CartClosed(Event):
    """A cart is over because its shopper bought elsewhere: in another region or on another device."""

    cart_id: str
    visitor_id: str
    order_id: str
    region: str


@event(key="cart_id")
class CartRecovered(Event):
    """An order followed an offer for the cart. `value` is the order's total."""

    cart_id: str
    visitor_id: str
    order_id: str
    offer_id: str
    value: Money
