"""Figures: for each journey, region and day how many took part in each arm, and the sums of what they bought."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

import msgspec

from mesh import Bucket, Mesh, Received
from mesh.profiles import visitor_digest
from notifications import exact_sums
from notifications.exact_sums import Contributions, Figures, Sums, SumsWriter, day_key
from notifications.experiments.participant import Participant, fold, outcomes


class ExperimentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`experiment_window` is for how long after a decision an order counts for it.

    Whoever changes it runs `cartmesh rebuild experiment-days`: what is not counted anew keeps the old one.
    """

    experiment_window: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        """Refuse what measures nothing."""
        if not timedelta(0) < self.experiment_window <= timedelta(days=90):
            raise ValueError("experiment_window: more than 0, and 90d at most")


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of the bucket: the record of one visitor, or the sums of one region and day, by journey."""

    participant: Participant | None = None
    day: dict[str, Figures] | None = None


PARTICIPANTS: Bucket[Kept] = Bucket("participants", Kept, ttl=timedelta(days=400), rebuilt=True)
"""Everybody who took part in the mesh, and every day. Kept as long as the events."""
EXPERIMENT_DAYS: Bucket[Sums] = Bucket("experiment-days", Sums, ttl=timedelta(days=400), rebuilt=True)
"""Every day, for pages."""


class ParticipantFigures:
    """How participants are recorded and summed."""

    bucket, copy = PARTICIPANTS, EXPERIMENT_DAYS

    def __init__(self, window: timedelta) -> None:
        self._window = window

    def key(self, received: Received) -> str | None:
        """Where the visitor's record is; None for a confirmation that names no visitor."""
        visitor = received.event.visitor_id
        return f"visitor-{visitor_digest(visitor)}" if visitor else None

    def fold(self, record: Participant | None, events: Iterable[Received]) -> Participant:
        """The record after these events."""
        return fold(record, events, self._window)

    def contributions(self, record: Participant) -> Contributions:
        """What a visitor adds, to the day on which they began to take part in each journey."""
        found: dict[str, dict[str, Figures]] = defaultdict(dict)
        for trial, journey, figures in outcomes(record):
            found[day_key(trial.region, trial.day)][journey] = figures
        return found

    def record(self, kept: Kept) -> Participant | None:
        """The record of a value."""
        return kept.participant

    def sums(self, kept: Kept) -> Mapping[str, Figures]:
        """The sums of a value, by journey."""
        return kept.day or {}

    def keep_record(self, record: Participant) -> Kept:
        """A value that holds a record."""
        return Kept(participant=record)

    def keep_sums(self, sums: dict[str, Figures]) -> Kept:
        """A value that holds the sums of a day."""
        return Kept(day=sums)


class EffectsWriter(SumsWriter[Participant, Kept]):
    """Writes the sums."""

    def __init__(self, mesh: Mesh, window: timedelta) -> None:
        super().__init__(mesh, ParticipantFigures(window))
        self.window = window


async def read_days(
    mesh: Mesh, regions: Iterable[str], days: Iterable[date]
) -> dict[tuple[str, date], dict[str, Figures]]:
    """The sums of these regions and days, by journey. Without those that have none. Raises Unavailable."""
    return await exact_sums.read_days(mesh, EXPERIMENT_DAYS, regions, days)
