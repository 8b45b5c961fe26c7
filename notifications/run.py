"""Run: one journey on one subject, such as a cart. Its id is one subject token and keys the run's timer."""

from hashlib import blake2b
from typing import TypedDict

from mesh.events.offer import OfferDecided
from mesh.subjects import MAX_TOKEN

SEPARATOR = "--"
"""Never part of a journey's name, so that the first one ends it."""


def run_id(journey: str, subject: str) -> str:
    """`<journey>--<subject>`; of a long subject its hash, so that it stays one token."""
    joined = f"{journey}{SEPARATOR}{subject}"
    if len(joined) <= MAX_TOKEN:
        return joined
    return f"{journey}{SEPARATOR}{blake2b(subject.encode(), digest_size=16).hexdigest()}"


class RunFields(TypedDict):
    """What every event about a decided offer repeats of its decision."""

    run_id: str
    journey: str
    journey_revision: int
    template_revision: int | None


def run_fields(decided: OfferDecided) -> RunFields:
    """The run of a decision, its journey, and the revisions of journey and template that it was decided with."""
    return RunFields(
        run_id=decided.run_id,
        journey=decided.journey,
        journey_revision=decided.journey_revision,
        template_revision=decided.template_revision,
    )
