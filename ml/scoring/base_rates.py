"""Base rates: how often shoppers buy, counted, for as long as no model is trained."""

from collections import OrderedDict
from collections.abc import Iterable

from mesh.event import Event
from mesh.events.cart import CartUpdated
from mesh.events.order import OrderPlaced
from mesh.events.user import Reason
from ml.clickstream.steps import session_of

BASE_RATE = "base-rate"
PRIOR = {"cart": (0.24, 20), "visit": (0.02, 50)}
"""Rate and weight in counted cases. Carts: in RetailRocket 24 % of sessions with a cart buy; visits: a usual shop."""
MOST = 20_000


class BaseRates:
    """Counts carts and visits and how many of them ended in a purchase, over a prior; the newest 20,000 of each."""

    def __init__(self) -> None:
        self._seen: dict[str, OrderedDict[str, bool]] = {"cart": OrderedDict(), "visit": OrderedDict()}
        self._bought = {"cart": 0, "visit": 0}

    def learn(self, happened: Event, at: float) -> None:
        """Count an event's cart and visit; the same again changes nothing."""
        bought = isinstance(happened, OrderPlaced)
        visitor = getattr(happened, "visitor_id", "")
        self._count("visit", session_of(getattr(happened, "session_id", None), visitor, at), bought=bought)
        if isinstance(happened, CartUpdated | OrderPlaced) and happened.cart_id:
            self._count("cart", happened.cart_id, bought=bought)

    def forget(self, sessions: Iterable[str]) -> None:
        """Count these sessions no more."""
        for session in sessions:
            self._bought["visit"] -= self._seen["visit"].pop(session, False)

    def rate(self, *, carted: bool) -> float:
        """The share that buys, with something in the cart or without."""
        of = "cart" if carted else "visit"
        prior, weight = PRIOR[of]
        return (prior * weight + self._bought[of]) / (weight + len(self._seen[of]))

    def reasons(self, *, carted: bool) -> tuple[Reason, ...]:
        """Where the rate comes from, as reasons to show."""
        of = "cart" if carted else "visit"
        counted = f"{self._bought[of]:,} of {len(self._seen[of]):,} {of}s so far ended in a purchase"
        prior = f"before counting, {PRIOR[of][0]:.0%} of {of}s were assumed to"
        return (
            Reason(text="no model is trained yet: this is a base rate", weight=0.0),
            Reason(text=counted, weight=0.0),
            Reason(text=prior, weight=0.0),
        )

    def _count(self, of: str, key: str, *, bought: bool) -> None:
        seen = self._seen[of]
        before = seen.get(key, False)
        if bought and not before:
            self._bought[of] += 1
        seen[key] = before or bought
        if len(seen) > MOST:
            _, dropped = seen.popitem(last=False)
            self._bought[of] -= dropped
