"""A shopper: one visitor's newest steps, and the features that follow from them."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from mesh.events.user import Evidence
from ml.clickstream.steps import CartExpander, Kind, Step
from ml.features import Number, catalogue, digest

MOST_STEPS = 120
"""Steps kept per shopper, so that a late one can be put in its place; what older ones contributed is remembered."""
MOST_SESSIONS = 8
RECENT = 8

Update = Callable[[Any, Step], Any]


class Plan(NamedTuple):
    """What is remembered of a session and of a visitor, and where each feature finds it."""

    begin: dict[str, list[Any]]
    """By scope: memories before the first step."""
    updates: dict[str, dict[Kind, list[tuple[int, Update]]]]
    """By scope and kind of step: which memories it changes, and how."""
    reads: list[tuple[int, int, Callable[[Any, float], Number]]]
    """By feature: 0 the visitor's or 1 the session's memories, the place there, and how to read it."""


@cache
def plan() -> Plan:
    """The plan for the catalogue. Features that remember the same share one memory."""
    plan = Plan({"session": [], "visitor": []}, {"session": {}, "visitor": {}}, [])
    places: dict[tuple, int] = {}
    for feature in catalogue():
        memories, updates = plan.begin[feature.scope], plan.updates[feature.scope]
        memory = (feature.scope, feature.kinds, repr(feature.begin), feature.update)
        if memory not in places:
            places[memory] = len(memories)
            memories.append(feature.begin)
            for kind in feature.kinds:
                updates.setdefault(kind, []).append((places[memory], feature.update))
        plan.reads.append((int(feature.scope == "session"), places[memory], feature.value))
    return plan


class VisitorFeatures:
    """All features of one visitor, learned step by step in time order."""

    __slots__ = ("expander", "last", "sessions", "steps", "visitor")

    def __init__(self) -> None:
        self.visitor = plan().begin["visitor"].copy()
        self.sessions: dict[str, list[Any]] = {}
        self.expander = CartExpander()
        self.last = 0.0
        self.steps = 0
        """How many expanded steps were learned."""

    def copy(self) -> "VisitorFeatures":
        """Another that goes its own way from here."""
        other = VisitorFeatures()
        other.visitor = self.visitor.copy()
        other.sessions = {session: memories.copy() for session, memories in self.sessions.items()}
        other.expander.carts = self.expander.carts.copy()
        other.last, other.steps = self.last, self.steps
        return other

    def update(self, step: Step) -> None:
        """Learn the next step, in the order in which the mesh delivers them."""
        for expanded in self.expander.expand(step):
            self.learn(expanded)

    def learn(self, step: Step) -> None:
        """Learn the next expanded step."""
        self.last = step.at
        self.steps += 1
        updates, memories = plan().updates, self.visitor
        for place, update in updates["visitor"].get(step.kind, ()):
            memories[place] = update(memories[place], step)
        memories = self._session(step.session)
        for place, update in updates["session"].get(step.kind, ()):
            memories[place] = update(memories[place], step)

    def vector(self, now: float, session: str) -> list[float]:
        """All features at `now` in the order of `features.names()`; `now` before the newest step counts as then."""
        now = max(now, self.last)
        groups = (self.visitor, self.sessions.get(session) or plan().begin["session"])
        return [float(value(groups[group][place], now)) for group, place, value in plan().reads]

    def _session(self, session: str) -> list[Any]:
        """A session's memories; of more than eight the one that rested longest is forgotten."""
        found = self.sessions.pop(session, None)
        if found is None:
            if len(self.sessions) >= MOST_SESSIONS:
                rested = next(iter(self.sessions))
                del self.sessions[rested]
                self.expander.carts.pop(rested, None)
            found = plan().begin["session"].copy()
        self.sessions[session] = found
        return found


class Shopper:
    """One visitor's steps in time order. Learning the same step twice changes nothing."""

    __slots__ = ("_earlier", "_features", "known", "steps")

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self.steps: list[Step] = []
        self.known: set[str] = set()
        self._features: VisitorFeatures | None = None
        self._earlier: VisitorFeatures | None = None
        """After the steps that are kept no more."""
        for step in sorted(steps, key=lambda given: (given.at, given.id)):
            self.learn(step)

    def learn(self, step: Step) -> bool:
        """Put a step in its place; False when it was known or is older than everything that is kept."""
        if step.id in self.known:
            return False
        place = (step.at, step.id)
        if not self.steps or place > (self.steps[-1].at, self.steps[-1].id):
            self.steps.append(step)
            if self._features is not None:
                self._features.update(step)
        elif self._earlier is not None and place < (self.steps[0].at, self.steps[0].id):
            return False
        else:
            self.steps.insert(bisect_left(self.steps, place, key=lambda kept: (kept.at, kept.id)), step)
            self._features = None
        self.known.add(step.id)
        if len(self.steps) > MOST_STEPS:
            self._forget()
        return True

    def vector(self, now: float, session: str) -> list[float]:
        """All features at `now` in the order of `features.names()`."""
        return self._seen().vector(now, session)

    def evidence(self, now: float, session: str) -> Evidence:
        """The features at `now`, and what they were computed from. `now` before the newest step counts as then."""
        seen = self._seen()
        at = datetime.fromtimestamp(max(now, seen.last), UTC)
        values = tuple(seen.vector(at.timestamp(), session))
        return Evidence(at=at, steps=seen.steps, features_digest=digest(), values=values)

    def recent(self, most: int = RECENT) -> list[str]:
        """Up to `most` products viewed or carted, newest first, each once."""
        seen: dict[str, None] = {}
        for step in reversed(self.steps):
            seen.update(dict.fromkeys(_about(step)))
            if len(seen) >= most:
                break
        return list(seen)[:most]

    @property
    def owned(self) -> set[str]:
        """Products that are in a cart now or were bought, as far as kept."""
        carts = {step.session: step.products for step in self.steps if step.kind in ("cart", "purchase")}
        bought = {product for step in self.steps if step.kind == "purchase" for product in step.products}
        return bought.union(*carts.values())

    def _seen(self) -> VisitorFeatures:
        if self._features is None:
            self._features = self._earlier.copy() if self._earlier is not None else VisitorFeatures()
            for step in self.steps:
                self._features.update(step)
        return self._features

    def _forget(self) -> None:
        if self._earlier is None:
            self._earlier = VisitorFeatures()
        oldest = self.steps.pop(0)
        self._earlier.update(oldest)
        self.known.discard(oldest.id)


def _about(step: Step) -> tuple[str, ...]:
    if step.kind == "purchase":
        return ()
    return (step.product,) if step.product is not None else step.products
