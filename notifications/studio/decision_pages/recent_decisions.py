"""Recent decisions: the newest decision about each offer of all regions, kept in memory for lists."""

import heapq
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from mesh import Money, Received
from mesh.events.offer import OfferDecided
from notifications.studio.decision_pages import words

SINCE = timedelta(days=1)
"""How far before its start a process reads back."""
MOST = 20_000


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as a row of a list."""

    at: datetime
    id: str
    attempt: int
    region: str
    cart_id: str
    journey: str
    outcome: str
    reason: str
    discount: str
    total: Money | None
    channels: tuple[str, ...]
    held_until: datetime | None
    step: str = ""
    variant: str = ""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which decisions are wanted; what is empty may be anything."""

    journey: str = ""
    outcome: str = ""
    reason: str = ""
    region: str = ""

    def matches(self, decision: Decision) -> bool:
        """Whether a decision is wanted."""
        return all(wanted in ("", getattr(decision, name)) for name, wanted in msgspec.structs.asdict(self).items())


class RecentDecisions:
    """A fold: the same whatever the order and however often decisions are received."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._by_offer: dict[str, Decision] = {}

    def add(self, received: Received[OfferDecided]) -> None:
        """Take up a decision; that of an earlier attempt changes nothing."""
        decided = received.event
        known = self._by_offer.get(decided.offer_id)
        if known is not None and (known.attempt, known.id) >= (decided.attempt, received.id):
            return
        self._by_offer[decided.offer_id] = Decision(
            at=received.event_time,
            id=received.id,
            attempt=decided.attempt,
            region=received.region,
            cart_id=decided.cart_id,
            journey=decided.journey,
            outcome=decided.outcome,
            reason=decided.reason,
            discount=words.discount(decided),
            total=decided.total,
            channels=decided.channels,
            held_until=decided.held_until,
            step=decided.step,
            variant=decided.variant,
        )
        if len(self._by_offer) > self.most + self.most // 4:
            kept = heapq.nlargest(self.most, self._by_offer.items(), key=lambda one: _rank(one[1]))
            self._by_offer = dict(kept)

    def newest(self) -> list[Decision]:
        """The `most` newest decisions, newest first."""
        return sorted(self._by_offer.values(), key=_rank, reverse=True)[: self.most]


def values(decisions: Iterable[Decision], field: str) -> list[str]:
    """What a field has among decisions, to choose from."""
    return sorted({str(getattr(one, field)) for one in decisions} - {""})


def _rank(decision: Decision) -> tuple[datetime, str]:
    return decision.at, decision.id
