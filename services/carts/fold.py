"""Fold: what is true of a cart, from its events in any order and delivered any number of times."""

from collections.abc import Iterable
from datetime import datetime
from functools import reduce
from typing import Literal

import msgspec

from mesh import Money, Received
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartLine, CartRecovered, CartUpdated
from mesh.events.offer import OfferSent

Status = Literal["unknown", "open", "emptied", "abandoned", "converted", "closed"]


class CartView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cart as it is now.

    `updated_at`, `left_at` and `ended_at` are event times; sequences are those of the commerce stream. Every field is a
    maximum, so the order in which events are consumed makes no difference.
    """

    cart_id: str
    visitor_id: str = ""
    customer_id: str | None = None
    session_id: str | None = None
    lines: tuple[CartLine, ...] = ()
    update_id: str | None = None
    updated_at: datetime | None = None
    update_sequence: int = 0
    left_at: datetime | None = None
    abandonment_id: str | None = None
    ended: Literal["converted", "closed"] | None = None
    ended_at: datetime | None = None
    end_sequence: int = 0
    order_id: str | None = None
    offer_id: str | None = None
    offer_sequence: int = 0
    recovered_sequence: int = 0

    @property
    def status(self) -> Status:
        """Where the cart stands. What ended it counts when it is later by its time or by its place."""
        if self.updated_at is None:
            return self.ended or "unknown"
        if (
            self.ended
            and self.ended_at
            and (self.ended_at >= self.updated_at or self.end_sequence > self.update_sequence)
        ):
            return self.ended
        if not self.lines:
            return "emptied"
        return "abandoned" if self.left_at and self.left_at >= self.updated_at else "open"

    @property
    def total(self) -> Money | None:
        """What its lines cost; None when it has none."""
        return total_of(self.lines)


def total_of(lines: Iterable[CartLine]) -> Money | None:
    """What lines cost; None when there are none."""
    return Money.sum(line.price * line.quantity for line in lines)


def fold(cart_id: str, events: Iterable[Received]) -> CartView:
    """The view of a cart after these events."""
    return reduce(step, events, CartView(cart_id=cart_id))


def step(cart: CartView, received: Received) -> CartView:  # noqa: PLR0911  one return per kind of event
    """The view after one more event. Old, repeated and foreign events change nothing."""
    change = msgspec.structs.replace
    match received.event:
        case CartUpdated() as updated:
            return _updated(cart, updated, received)
        case CartAbandoned(left_at=left_at) if not cart.left_at or (left_at, received.id) > (
            cart.left_at,
            cart.abandonment_id,
        ):
            return change(cart, left_at=left_at, abandonment_id=received.id)
        case CartConverted(order_id=order_id):
            return _ended(cart, "converted", order_id, received)
        case CartClosed(order_id=order_id):
            return _ended(cart, "closed", order_id, received)
        case OfferSent(offer_id=offer_id) if received.sequence > cart.offer_sequence:
            return change(cart, offer_id=offer_id, offer_sequence=received.sequence)
        case CartRecovered() if received.sequence > cart.recovered_sequence:
            return change(cart, recovered_sequence=received.sequence)
        case _:
            return cart


def _updated(cart: CartView, updated: CartUpdated, received: Received) -> CartView:
    at = received.event_time
    if cart.updated_at and (at, received.sequence) <= (cart.updated_at, cart.update_sequence):
        return cart
    return msgspec.structs.replace(
        cart,
        visitor_id=updated.visitor_id,
        customer_id=updated.customer_id,
        session_id=updated.session_id,
        lines=updated.lines,
        update_id=received.id,
        updated_at=at,
        update_sequence=received.sequence,
    )


def _ended(cart: CartView, how: Literal["converted", "closed"], order_id: str, received: Received) -> CartView:
    at = received.event_time
    latest = max(cart.ended_at or at, at)
    if received.sequence <= cart.end_sequence:
        return msgspec.structs.replace(cart, ended_at=latest)
    return msgspec.structs.replace(cart, ended=how, order_id=order_id, ended_at=latest, end_sequence=received.sequence)
