"""A shopper: one visitor's newest steps, and the features that follow from them."""

from bisect import bisect_left
from collections.abc import Iterable
from functools import cache

from ml.features import Feature, catalogue
from ml.steps import Step, Unfolding

MOST_STEPS = 120
"""Steps kept per shopper, so that a late one can be put in its place; counts go on beyond that."""
MOST_SESSIONS = 8
RECENT = 8


@cache
def _places() -> tuple[tuple[int, int], ...]:
    """Where each feature's instance is: 0 with the visitor's or 1 with the session's, and its place among them."""
    seen, places = [0, 0], []
    for kind in catalogue():
        group = int(kind.scope == "session")
        places.append((group, seen[group]))
        seen[group] += 1
    return tuple(places)


class Portrait:
    """All features of one visitor, learned step by step in time order."""

    __slots__ = ("last", "sessions", "unfolding", "visitor")

    def __init__(self) -> None:
        self.visitor: list[Feature] = [kind() for kind in catalogue() if kind.scope == "visitor"]
        self.sessions: dict[str, list[Feature]] = {}
        self.unfolding = Unfolding()
        self.last = 0.0

    def update(self, step: Step) -> None:
        """Learn the next step, as the mesh told it."""
        for unfolded in self.unfolding.unfold(step):
            self.learn(unfolded)

    def learn(self, step: Step) -> None:
        """Learn the next unfolded step."""
        self.last = step.at
        for feature in self.visitor:
            feature.update(step)
        for feature in self._session(step.session):
            feature.update(step)

    def vector(self, now: float, session: str) -> list[float]:
        """All features at `now` in the order of `features.names()`; `now` before the newest step counts as then."""
        now = max(now, self.last)
        groups = (self.visitor, self._session(session))
        return [float(groups[group][at].value(now)) for group, at in _places()]

    def _session(self, session: str) -> list[Feature]:
        found = self.sessions.get(session)
        if found is None:
            if len(self.sessions) >= MOST_SESSIONS:
                del self.sessions[next(iter(self.sessions))]
            found = self.sessions[session] = [kind() for kind in catalogue() if kind.scope == "session"]
        return found


class Shopper:
    """One visitor's steps in time order. Learning the same step twice changes nothing."""

    __slots__ = ("_portrait", "known", "steps")

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self.steps: list[Step] = []
        self.known: set[str] = set()
        self._portrait: Portrait | None = None
        for step in sorted(steps, key=lambda given: (given.at, given.id)):
            self.learn(step)

    def learn(self, step: Step) -> bool:
        """Put a step in its place; False when it was known or is older than everything that is kept."""
        if step.id in self.known:
            return False
        place = (step.at, step.id)
        if not self.steps or place > (self.steps[-1].at, self.steps[-1].id):
            self.steps.append(step)
            if self._portrait is not None:
                self._portrait.update(step)
        elif len(self.steps) >= MOST_STEPS and place < (self.steps[0].at, self.steps[0].id):
            return False
        else:
            self.steps.insert(bisect_left(self.steps, place, key=lambda kept: (kept.at, kept.id)), step)
            self._portrait = None
        self.known.add(step.id)
        if len(self.steps) > MOST_STEPS:
            self.known.discard(self.steps.pop(0).id)
        return True

    def vector(self, now: float, session: str) -> list[float]:
        """All features at `now` in the order of `features.names()`."""
        if self._portrait is None:
            self._portrait = Portrait()
            for step in self.steps:
                self._portrait.update(step)
        return self._portrait.vector(now, session)

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


def _about(step: Step) -> tuple[str, ...]:
    if step.kind == "purchase":
        return ()
    return (step.product,) if step.product is not None else step.products
