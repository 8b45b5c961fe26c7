"""Offers: the newest decisions with all their checks, and what became of each."""

from datetime import UTC, datetime
from itertools import product

import msgspec

from mesh import Received
from mesh.channels import CHANNELS
from mesh.events.cart import CartLine, CartRecovered
from mesh.events.offer import OfferDecided, OfferDeferred, OfferFailed, OfferSent, OfferWithdrawn
from services.operations.board.funnel import HOUR
from services.operations.board.latest_by_key import LatestByKey
from services.operations.board.state import OfferEvent, OfferEventKind, OfferShown, RecommendedProduct

SHOWN = 40
BASE_RATE = "base-rate"
"""The version of a score that no model computed (`UserScored.model_version`)."""
MOST_FACTS = 50_000
_BY_CHANNEL: tuple[OfferEventKind, ...] = ("sent", "shown", "deferred", "failed", "withdrawn")


class Offers:
    """A fold: the same whatever the order and however often events are received."""

    def __init__(self) -> None:
        self._decided: LatestByKey[str, OfferShown] = LatestByKey(HOUR, SHOWN)
        self._events: LatestByKey[tuple[str, OfferEventKind, str | None], OfferEvent] = LatestByKey(HOUR, MOST_FACTS)

    def add(self, received: Received) -> None:
        """Note a decision, or what became of one."""
        match received.event:
            case OfferDecided() as decided:
                at = received.event_time.timestamp()
                self._decided.add(decided.offer_id, at, received.id, _shown(decided, received.region, _time(at)))
            case OfferSent(offer_id=offer, channel=channel):
                if channel == "onsite":
                    self._note(received, offer, "shown", channel, "on the site")
                else:
                    self._note(received, offer, "sent", channel, "the mail server took it")
            case OfferDeferred(offer_id=offer, channel=channel, reason=reason, attempt=attempt):
                self._note(received, offer, "deferred", channel, f"attempt {attempt}: {reason}")
            case OfferFailed(offer_id=offer, channel=channel, reason=reason):
                self._note(received, offer, "failed", channel, reason)
            case OfferWithdrawn(offer_id=offer, channel=channel, reason=reason):
                self._note(received, offer, "withdrawn", channel, reason)
            case CartRecovered(offer_id=offer, order_id=order, value=value):
                detail = f"order {order}: {value.decimal()} {value.currency}"
                self._note(received, offer, "recovered", None, detail)

    def newest(self, now: datetime) -> tuple[OfferShown, ...]:
        """The newest decisions of the last hour, newest first."""
        self._decided.expire(now.timestamp())
        self._events.expire(now.timestamp())
        return tuple(
            msgspec.structs.replace(shown, events=self._events_of(offer, shown.channels))
            for offer, _, shown in self._decided.latest()
        )

    def _note(self, received: Received, offer: str, kind: OfferEventKind, channel: str | None, detail: str) -> None:
        at = received.event_time.timestamp()
        event = OfferEvent(kind=kind, at=_time(at), channel=channel, detail=detail)
        self._events.add((offer, kind, channel), at, received.id, event)

    def _events_of(self, offer: str, channels: tuple[str, ...]) -> tuple[OfferEvent, ...]:
        # An offer may have been tried by a channel that its newest decision no longer names, or that is new to us.
        kinds = [*product(_BY_CHANNEL, sorted({*channels, *CHANNELS})), ("recovered", None)]
        found = [event for kind, channel in kinds if (event := self._events.get((offer, kind, channel)))]
        return tuple(sorted(found, key=lambda event: event.at))


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _shown(decided: OfferDecided, region: str, at: datetime) -> OfferShown:
    return OfferShown(
        id=decided.offer_id,
        at=at,
        region=region,
        cart_id=decided.cart_id,
        outcome=decided.outcome,
        reason=decided.reason,
        journey=decided.journey,
        discount_percent=decided.discount_percent,
        propensity=decided.propensity,
        is_base_rate=decided.model_version == BASE_RATE,
        channels=decided.channels,
        total=decided.total,
        held_until=decided.held_until,
        checks=decided.checks,
        lines=tuple(_line_text(line) for line in decided.lines),
        recommended=tuple(
            RecommendedProduct(name=one.name or one.product_id, reason=one.reason) for one in decided.recommended
        ),
        events=(),
    )


def _line_text(line: CartLine) -> str:
    return f"{line.quantity} x {line.name or line.product_id}"
