"""Occasion: what a run was started by: a cart that was left, or what a trigger of one journey found."""

from collections.abc import Sequence
from datetime import datetime

from mesh import Received
from mesh.event import Event
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartUpdated
from mesh.events.offer import CART_ABANDONED, OfferDecided, OfferTriggered
from mesh.history import History
from mesh.money import Money
from notifications.journeys.triggers import has_cart

Occasion = CartAbandoned | OfferTriggered
Started = Received[CartAbandoned] | Received[OfferTriggered]
"""An occasion as the log has it."""

CART_CHANGES = (CartUpdated, CartConverted, CartClosed)
"""After any of these an abandonment is out of date.

A cart is left again only after another update, as each update is abandoned once, so that needs no condition.
"""


def kinds_of(trigger: str) -> tuple[type[Event], ...]:
    """What of a history says where the subject of a run stands: where there is no cart the trigger's finds alone."""
    if trigger == CART_ABANDONED:
        return (CartAbandoned, *CART_CHANGES)
    return (OfferTriggered, CartAbandoned, *CART_CHANGES) if has_cart(trigger) else (OfferTriggered,)


def changes_of(trigger: str) -> tuple[type[Event], ...]:
    """What must not happen to the subject while it is decided: nothing where there is no cart."""
    return CART_CHANGES if has_cart(trigger) else ()


def trigger_of(occasion: Occasion) -> str:
    """The trigger by which it started a run."""
    return occasion.trigger if isinstance(occasion, OfferTriggered) else CART_ABANDONED


def prices_before(occasion: Occasion) -> dict[str, Money]:
    """What products cost before, where they cost less now."""
    return occasion.prices_before if isinstance(occasion, OfferTriggered) else {}


def same_kind(history: History, occasion: Occasion) -> Sequence[Started]:
    """The occasions of a history that replace each other: times at which the cart was left, or one journey's finds."""
    if isinstance(occasion, CartAbandoned):
        return history.of(CartAbandoned)
    return [one for one in history.of(OfferTriggered) if one.event.journey == occasion.journey]


def find(history: History, id_: str) -> Started | None:
    """The occasion of an id."""
    found: list[Started] = [*history.of(CartAbandoned), *history.of(OfferTriggered)]
    return next((one for one in found if one.id == id_), None)


def left_of(history: History, decided: OfferDecided) -> datetime | None:
    """When the shopper did last what a run is about: of a cart when it was left last; None where that is not known."""
    if decided.trigger == CART_ABANDONED:
        newest = history.last(CartAbandoned)
        return newest.event.left_at if newest else None
    found = find(history, decided.abandonment_id)
    return found.event.left_at if found else None
