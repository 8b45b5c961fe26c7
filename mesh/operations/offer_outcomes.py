"""Offer outcomes: what was decided about each offer, for which reason, and what became of it."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from mesh.operations.causal_tree import TracedEvent

STEPS = {
    "offer.requested": "requested",
    "offer.claimed": "claimed",
    "offer.sent": "sent",
    "offer.deferred": "deferred",
    "offer.failed": "failed",
    "offer.withdrawn": "withdrawn",
    "offer.shown": "shown",
    "offer.opened": "opened",
    "offer.clicked": "clicked",
    "cart.recovered": "recovered",
}
"""What may become of an offer, by the event that says so."""


class OfferStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened to an offer: `what` is the decision's outcome, or one of `STEPS`; at an aware UTC time.

    `reason` is that of the event; of a decision also the checks that failed. `until` is when it is looked at again.
    """

    at: datetime
    what: str
    event_id: str
    channel: str | None = None
    reason: str | None = None
    until: str | None = None


class OfferOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """An offer of one journey for one cart, and its steps in the order of the log."""

    offer_id: str
    cart_id: str
    region: str
    journey: str
    journey_revision: int
    steps: tuple[OfferStep, ...]


def offer_outcomes(events: Iterable[TracedEvent]) -> list[OfferOutcome]:
    """The offers among these events, oldest first."""
    steps: dict[str, list[OfferStep]] = {}
    decided: dict[str, TracedEvent] = {}
    for one in sorted((one for one in events if not one.due), key=lambda one: one.stored):
        name, offer_id = one.type.rpartition(".v")[0], one.data.get("offer_id")
        if not isinstance(offer_id, str):
            continue
        if name == "offer.decided":
            decided[offer_id] = one
            steps.setdefault(offer_id, []).append(_decision(one))
        elif name in STEPS:
            steps.setdefault(offer_id, []).append(_step(one, STEPS[name]))
    return [
        OfferOutcome(
            offer_id=offer_id,
            cart_id=one.key,
            region=one.region,
            journey=str(one.data.get("journey", "")),
            journey_revision=int(one.data.get("journey_revision", 0)),
            steps=tuple(steps[offer_id]),
        )
        for offer_id, one in decided.items()
    ]


def outcome_lines(offers: Iterable[OfferOutcome]) -> Iterator[str]:
    """The offers as lines of text: one for each offer, and below it one for each step."""
    for offer in offers:
        yield (
            f"offer {offer.offer_id} of journey {offer.journey} revision {offer.journey_revision} "
            f"for cart {offer.cart_id} in {offer.region}"
        )
        for step in offer.steps:
            by = f" by {step.channel}" if step.channel else ""
            until = f" until {step.until}" if step.until else ""
            reason = f": {msgspec.json.encode(step.reason).decode()[1:-1]}" if step.reason else ""
            yield f"  {step.at:%Y-%m-%d %H:%M:%S} {step.what}{by}{until}{reason}"


def _decision(one: TracedEvent) -> OfferStep:
    failed = [f"{check['name']}: {check['value']}" for check in one.data.get("checks", ()) if not check.get("passed")]
    reason = "; ".join(dict.fromkeys(filter(None, (one.data.get("reason"), *failed))))
    return _step(one, str(one.data.get("outcome", "decided")), reason=reason, until=one.data.get("held_until"))


def _step(one: TracedEvent, what: str, *, reason: str | None = None, until: str | None = None) -> OfferStep:
    return OfferStep(
        at=one.stored,
        what=what,
        event_id=one.id,
        channel=one.data.get("channel"),
        reason=reason
        or one.data.get("reason")
        or (f"order {one.data['order_id']}" if "order_id" in one.data else None),
        until=until or one.data.get("until"),
    )
