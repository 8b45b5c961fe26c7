"""Rules: what a cart from outside must be, and when it counts as left."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec

from mesh import Mesh, Received
from mesh.accept import Sent
from mesh.errors import InvalidField
from mesh.events.cart import CartIdle, CartUpdated
from mesh.timers import Timer

GRACE = timedelta(seconds=5)
"""What an overdue cart is given, so that the order behind it in the same offline queue comes first."""
LATE = timedelta(seconds=60)
"""An update that was under way for longer may be older than one that is stored already."""


class CartSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How carts are judged. `attribution` is how long after an offer an order counts as won by it."""

    attribution: timedelta = timedelta(days=7)


@dataclass(frozen=True)
class Rules:
    """The settings as they were when the service started."""

    settings: CartSettings
    abandon_after: timedelta

    def idle_timer(self, sent: Sent[CartUpdated]) -> Timer:
        """When a cart counts as left: by the server's clock, earlier by the time its update was under way."""
        after = self.abandon_after
        idle = CartIdle(cart_id=sent.event.cart_id, update_id=sent.id, after=after)
        return Timer(idle, sent.received + max(after - sent.age, min(after, GRACE)))


def check(updated: CartUpdated) -> CartUpdated:
    """The cart itself. Raises InvalidField for one that nobody can price, and for what only this service may say."""
    found = sorted({line.price.currency for line in updated.lines})
    if len(found) > 1:
        raise InvalidField("$.lines", f"a cart has one currency, not {' and '.join(found)}")
    if updated.refused is not None:
        raise InvalidField("$.refused", "a cart is sent as it is; whether it is refused is decided here")
    return updated


def may_be_outdated(sent: Sent[CartUpdated]) -> bool:
    """Whether what is stored of the cart must be read before its timer may be touched."""
    return sent.attempt > 1 or sent.age > LATE or not sent.event.lines


async def is_outdated(sent: Sent[CartUpdated], stored: Received[CartUpdated], mesh: Mesh) -> bool:
    """Whether a newer update than this is stored: then this one changes nothing about the timer.

    `stored` is the cart's last one. Only where it came late itself can a newer one stand before it.
    """
    if stored.time > sent.time or stored.stored - stored.time <= LATE:
        return stored.time > sent.time
    history = await mesh.history(sent.event.cart_id, "cart")
    return any(earlier.time > sent.time for earlier in history.of(CartUpdated))
