"""Live journeys: what this process decides with right now, of highest priority first."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

import msgspec

from notifications.conditions.closures import Facts
from notifications.conditions.live_audiences import LiveAudiences
from notifications.documents.document import Document
from notifications.journeys import Journey
from notifications.journeys.kind import journey_of


class LiveJourney(msgspec.Struct, frozen=True, kw_only=True):
    """A published journey and its revision, which every decision names."""

    journey: Journey
    revision: int = 0

    @property
    def name(self) -> str:
        """The journey's name, which is its document's id."""
        return self.journey.name


class LiveJourneys:
    """The published journeys by name. `set` is called when a document changes, so decisions always use the newest."""

    def __init__(self, journeys: Iterable[LiveJourney] = ()) -> None:
        self._by_name = {one.name: one for one in journeys}
        self._audiences = LiveAudiences()
        for one in self._by_name.values():
            self._audiences.set(one.name, one.journey.audience)

    def __iter__(self) -> Iterator[LiveJourney]:
        """Active journeys, those of higher priority first, then by name."""
        active = (one for one in self._by_name.values() if one.journey.active)
        return iter(sorted(active, key=lambda one: (-one.journey.priority, one.name)))

    def get(self, name: str) -> LiveJourney | None:
        """A journey, active or not; None where there is none of that name."""
        return self._by_name.get(name)

    def set(self, journey: LiveJourney) -> None:
        """Use this revision from now on."""
        self._by_name[journey.name] = journey
        self._audiences.set(journey.name, journey.journey.audience)

    def for_cart(self, facts: Facts) -> frozenset[str]:
        """The names of the journeys whose audience a cart with these facts belongs to, active or not."""
        return self._audiences.matching(facts)

    def belongs(self, run: LiveJourney, met: frozenset[str]) -> bool | None:
        """Whether a cart belongs to the audience of a run's own revision, by what `for_cart` said of it.

        None: the run is decided with another revision than the one in force, of which that says nothing.
        """
        return run.name in met if self._by_name.get(run.name) is run else None

    def use(self, document: Document) -> None:
        """Decide with a published revision from now on. DeclarationError where it cannot be read."""
        self.set(LiveJourney(journey=journey_of(document), revision=document.revision))

    @property
    def shortest_score_limit(self) -> timedelta:
        """How long a cart's first decision waits for its score, as all active journeys decide together."""
        return min((one.journey.score_limit for one in self), default=timedelta(0))

    @property
    def longest_contact_memory(self) -> float:
        """Seconds for which contacts are kept: the longest window or interval of all journeys, active or not."""
        journeys = [one.journey for one in self._by_name.values()]
        return max((max(one.cap_window, one.contact_interval).total_seconds() for one in journeys), default=0.0)
