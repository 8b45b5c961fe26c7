"""Progress: how far the run of a journey has come, from its cart's history, and which step is next.

The journey may have been edited since the run began. A step is known by its name, so that one that moved is not sent
twice. Where a name is gone, the run goes on with what stands in its place now.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from mesh import Received
from mesh.channels import CHANNELS
from mesh.events.offer import OfferClicked, OfferDecided, OfferFailed, OfferSent, OfferWithdrawn
from mesh.history import History
from notifications.journeys import Journey
from notifications.journeys.steps import Condition, Step

FATES = (OfferSent, OfferFailed, OfferWithdrawn)
"""What became of an approved offer, in each of its channels."""
WAITING = "step not due yet"
REMOVED = "step removed"
STOPPED = "journey stopped"
ENDING = frozenset(
    {
        *("bought", "cart moved on", STOPPED, "unsubscribed", "holdout", "no offer at random", "re-entry"),
    }
)
"""Reasons that end a run. After any other one that keeps an offer back the run goes on with its next step."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A run's decisions, oldest first."""

    decisions: tuple[Received[OfferDecided], ...]

    @property
    def names(self) -> frozenset[str]:
        """The steps that were decided about, if only that they wait."""
        return frozenset(one.event.step for one in self.decisions)

    def newest(self, step: str) -> OfferDecided | None:
        """The newest decision about a step."""
        found = [one.event for one in self.decisions if one.event.step == step]
        return found[-1] if found else None

    @property
    def last(self) -> OfferDecided | None:
        """The newest decision about any step."""
        return self.decisions[-1].event if self.decisions else None

    @property
    def held(self) -> list[OfferDecided]:
        """The newest decisions about those steps that are still open."""
        newest = {one.event.step: one.event for one in self.decisions}
        return [one for one in newest.values() if one.outcome == "held"]

    @property
    def ended_last(self) -> Received[OfferDecided] | None:
        """The newest decision that was final for its step."""
        return next((one for one in reversed(self.decisions) if one.event.outcome != "held"), None)

    def offers(self, step: str = "") -> frozenset[str]:
        """The offers of the run, or only the one of a step."""
        return frozenset(one.event.offer_id for one in self.decisions if step in ("", one.event.step))


def progress_of(history: History, abandonment_id: str, journey: str) -> Progress:
    """The run of a journey for an abandonment."""
    found = (one for one in history.of(OfferDecided) if one.event.abandonment_id == abandonment_id)
    return Progress(decisions=tuple(one for one in found if one.event.journey == journey))


def journeys_decided(history: History, abandonment_id: str) -> list[str]:
    """The journeys that have decided about an abandonment, by name."""
    return sorted({one.event.journey for one in history.of(OfferDecided) if one.event.abandonment_id == abandonment_id})


def step_at(journey: Journey, name: str, position: int) -> Step | None:
    """The step of a name; of a first step that has another name by now the first one. None where it was removed."""
    listed = journey.listed_steps
    found = next((one for one in listed if one.name == name), None)
    return found or (listed[0] if position == 1 else None)


def step_after(journey: Journey, name: str, position: int, had: frozenset[str]) -> tuple[Step, int] | None:
    """The next step that a run has not had, and its position; None behind the last one."""
    listed = journey.listed_steps
    places = [place for place, one in enumerate(listed, 1) if one.name == name]
    behind = places[0] if places else position - (position > 1)
    return next(((one, at) for at, one in enumerate(listed, 1) if at > behind and one.name not in had), None)


def counted_from(history: History, progress: Progress, now: datetime, patience: datetime) -> datetime:
    """The moment from which a later step's delay counts: when the offer before it was sent, else when it was decided.

    `now` while that offer is still on its way by a channel that delivers by itself, until it is `patience`.
    """
    before = progress.ended_last
    if before is None:
        return now
    decided = before.event
    fates = [one for one in history if isinstance(one.event, FATES) and one.event.offer_id == decided.offer_id]
    sent = [one.time for one in fates if isinstance(one.event, OfferSent)]
    if sent:
        return min(sent)
    ended = {one.event.channel for one in fates}
    delivers = {name for name in decided.channels if CHANNELS.require(name).address is not None}
    if decided.outcome == "approved" and delivers - ended and now < patience:
        return now
    return before.time


def happened(condition: Condition, progress: Progress, events: Sequence[Received]) -> bool:
    """Whether it is true of the run's earlier offers, as far as these events tell."""
    kind = {"clicked": OfferClicked, "sent": OfferSent}[condition.happening]
    offers = progress.offers(condition.step)
    found = any(isinstance(one.event, kind) and one.event.offer_id in offers for one in events)
    return found != condition.negated


def open_steps(history: History, abandonment_id: str) -> Iterator[OfferDecided]:
    """Of every journey the steps of an abandonment that are held."""
    for name in journeys_decided(history, abandonment_id):
        yield from progress_of(history, abandonment_id, name).held
