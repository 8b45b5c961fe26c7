"""Live journeys: what this process decides with right now, of highest priority first."""

from collections.abc import Iterable
from datetime import timedelta

import msgspec
from cachetools import LRUCache

from mesh import Mesh
from mesh.errors import DeclarationError
from mesh.events.cart import CartAbandoned
from mesh.events.offer import CART_ABANDONED, OfferTriggered
from notifications.conditions.closures import Facts
from notifications.conditions.live_audiences import LiveAudiences
from notifications.documents.document import Document
from notifications.documents.publishing import find_revision
from notifications.journeys import Journey
from notifications.journeys.kind import JOURNEYS, journey_of
from notifications.journeys.texts import reentry_period

KEPT = 64
"""Earlier revisions that are remembered."""


class LiveJourney(msgspec.Struct, frozen=True, kw_only=True):
    """A published journey and its revision, which every decision names.

    `runs_from` is the revision that runs under way went over to last; None: this one.
    """

    journey: Journey
    revision: int = 0
    runs_from: int | None = None

    @property
    def name(self) -> str:
        """The journey's name, which is its document's id."""
        return self.journey.name

    def goes_on_with(self, revision: int) -> int:
        """The revision that decides about a run which was decided last with this one."""
        return max(revision, self.revision if self.runs_from is None else self.runs_from)


class LiveJourneys:
    """The published journeys by name. `set` is called when a document changes, so decisions always use the newest."""

    def __init__(self, journeys: Iterable[LiveJourney] = ()) -> None:
        self._by_name = {one.name: one for one in journeys}
        self._audiences = LiveAudiences()
        for one in self._by_name.values():
            self._audiences.set(one.name, one.journey.audience)
        self._earlier: LRUCache[tuple[str, int], LiveJourney] = LRUCache(KEPT)

    def on_in(self, region: str) -> list[LiveJourney]:
        """The journeys that are on in a region, those of higher priority first, then by name."""
        on = (one for one in self._by_name.values() if one.journey.is_on_in(region))
        return sorted(on, key=lambda one: (-one.journey.priority, one.name))

    def started_by(self, occasion: CartAbandoned | OfferTriggered, region: str) -> list[LiveJourney]:
        """The journeys that start a run: those for left carts, or the one that a trigger found it for."""
        on = self.on_in(region)
        if isinstance(occasion, CartAbandoned):
            return [one for one in on if one.journey.trigger == CART_ABANDONED]
        wanted = (occasion.journey, occasion.trigger)
        return [one for one in on if (one.name, one.journey.trigger) == wanted]

    @property
    def triggered(self) -> list[LiveJourney]:
        """The journeys, on or not, that something else than a left cart starts, by name."""
        found = (one for one in self._by_name.values() if one.journey.trigger != CART_ABANDONED)
        return sorted(found, key=lambda one: one.name)

    def get(self, name: str) -> LiveJourney | None:
        """A journey, on or not; None where there is none of that name."""
        return self._by_name.get(name)

    def set(self, journey: LiveJourney) -> None:
        """Use this revision from now on."""
        self._by_name[journey.name] = journey
        self._audiences.set(journey.name, journey.journey.audience)

    def for_cart(self, facts: Facts) -> frozenset[str]:
        """The names of the journeys whose audience a cart with these facts belongs to, on or not."""
        return self._audiences.matching(facts)

    def belongs(self, run: LiveJourney, met: frozenset[str]) -> bool | None:
        """Whether a cart belongs to the audience of a run's own revision, by what `for_cart` said of it.

        None: the run is decided with another revision than the one in force, of which that says nothing.
        """
        return run.name in met if self._by_name.get(run.name) is run else None

    def use(self, document: Document) -> None:
        """Decide with a published revision from now on. DeclarationError where it cannot be read."""
        self.set(LiveJourney(journey=journey_of(document), revision=document.revision, runs_from=document.runs_from))

    async def as_of(self, name: str, revision: int, mesh: Mesh) -> LiveJourney | None:
        """A journey as an earlier revision has it; None where that is not known here, or cannot be read any more."""
        known: LiveJourney | None = self._earlier.get((name, revision))
        if known is not None:
            return known
        document = await find_revision(JOURNEYS, name, revision, mesh)
        if document is None:
            return None
        try:
            found = LiveJourney(journey=journey_of(document), revision=revision)
        except DeclarationError:
            return None
        self._earlier[name, revision] = found
        return found

    def shortest_score_limit(self, region: str) -> timedelta:
        """How long a cart's first decision waits for its score, as all journeys of its region decide together."""
        limits = (one.journey.score_limit for one in self.on_in(region) if one.journey.trigger == CART_ABANDONED)
        return min(limits, default=timedelta(0))

    @property
    def longest_contact_memory(self) -> float:
        """Seconds for which contacts are kept: the longest window or interval of all journeys, on or not."""
        journeys = [one.journey for one in self._by_name.values()]
        return max((_contact_memory(one).total_seconds() for one in journeys), default=0.0)


def _contact_memory(journey: Journey) -> timedelta:
    habit = journey.discount_habit_window if journey.discount_habit else timedelta(0)
    return max(journey.cap_window, journey.contact_interval, reentry_period(journey.reentry) or timedelta(0), habit)
