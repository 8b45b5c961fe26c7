"""Funnel: viewed -> carted -> left -> offered -> recovered over the last hour of all regions.

- carted: distinct carts that held something, with the money of their newest update that did;
- left: abandonments, with the cart's total;
- offered: offers that reached a channel, with the total of the cart they were decided for;
- recovered: carts bought after an offer, with the order's value.

Views travel to no other region: their number comes from the regions' measurements. Those that a demo made up are
counted by what it reports of them, and left out.
"""

from collections import Counter
from datetime import datetime

from mesh import Received
from mesh.events.cart import CartAbandoned, CartRecovered, CartUpdated
from mesh.events.mesh import ViewsSimulated
from mesh.events.offer import OfferDecided, OfferSent
from mesh.money import Money
from services.operations.board.latest_by_key import LatestByKey
from services.operations.board.money import cost, listed
from services.operations.board.stage import Stage
from services.operations.board.state import StageShown

HOUR = 3600.0
MOST_CARTS = 250_000
MOST_OFFERS = 50_000
MOST_REPORTS = 10_000


class Funnel:
    """A fold: the same whatever the order and however often events are received."""

    def __init__(self) -> None:
        self._carted, self._left, self._recovered = (Stage(HOUR, MOST_CARTS) for _ in range(3))
        self._sent: LatestByKey[str, None] = LatestByKey(HOUR, MOST_OFFERS)
        # A decision comes before its sending, so it is remembered for longer.
        self._totals: LatestByKey[str, Money] = LatestByKey(2 * HOUR, MOST_OFFERS)
        self._simulated: LatestByKey[str, int] = LatestByKey(HOUR, MOST_REPORTS)

    def add(self, received: Received) -> None:
        """Count what happened."""
        at, name = received.event_time.timestamp(), received.id
        match received.event:
            case CartUpdated(cart_id=cart, lines=lines) if lines:
                self._carted.add(cart, at, name, cost(lines))
            case CartAbandoned(total=total):
                self._left.add(name, at, name, (total,))
            case OfferDecided(offer_id=offer, total=Money() as total):
                self._totals.add(offer, at, name, total)
            case OfferSent(offer_id=offer):
                self._sent.add(offer, at, name, None)
            case ViewsSimulated(views=views):
                self._simulated.add(name, at, name, views)
            case CartRecovered(value=value):
                self._recovered.add(name, at, name, (value,))

    def simulated(self, now: datetime) -> int:
        """How many views a demo had the regions store in the last hour."""
        self._simulated.expire(now.timestamp())
        return sum(views for _, _, views in self._simulated.latest())

    def stages(self, now: datetime, viewed: int) -> tuple[StageShown, ...]:
        """The five steps; `viewed` is what the regions measured, without what a demo made up."""
        for fold in (self._carted, self._left, self._sent, self._totals, self._recovered):
            fold.expire(now.timestamp())
        offered: Counter[str] = Counter()
        for offer in self._sent:
            if (total := self._totals.get(offer)) is not None:
                offered[total.currency] += total.amount
        return (
            StageShown(stage="viewed", count=viewed, money=()),
            StageShown(stage="carted", count=self._carted.count, money=self._carted.money),
            StageShown(stage="left", count=self._left.count, money=self._left.money),
            StageShown(stage="offered", count=len(self._sent), money=listed(offered)),
            StageShown(stage="recovered", count=self._recovered.count, money=self._recovered.money),
        )

    def problem(self) -> str | None:
        """In words that more happened than can be counted."""
        if self._carted.full or self._left.full:
            return f"more than {MOST_CARTS:,} carts within the hour: the oldest are not counted"
        return None
