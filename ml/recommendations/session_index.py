"""The session index: the newest sessions, never changed once built, with products by name and reasons to show them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ml.models.blend import SOURCES, Blend, Ranking
from ml.models.repeats import LONGEST
from ml.models.sessions import Ints, Sessions

Hashes = NDArray[np.int64]
CategoryOf = Callable[[str], str | None]
SPARE = 12
"""Candidates beyond those wanted, for some may not be shown."""
MOST_POPULAR = 200
MOST_OF_CATEGORY = 40
"""Popular products that are kept of one category, so that what a query looks at does not grow with the catalogue."""
MOST_QUESTIONS = 800
"""Asked for tuning; a second's work at most, in whichever process builds."""
LEAST_SHOPPERS = 2
"""So many shoppers must have seen two products together for it to be a reason of its own."""


@dataclass(frozen=True, kw_only=True)
class Clicks:
    """What shoppers saw, in time order: `sessions`, `visitors` (both hashes) and `items`, each (clicks,).

    Item i below `known` is `products[i]`, `numbers` is the reverse. Both may grow at their ends meanwhile.
    """

    sessions: Hashes
    visitors: Hashes
    items: Hashes
    products: Sequence[str]
    numbers: Mapping[str, int]
    known: int


@dataclass(frozen=True, kw_only=True)
class Build:
    """What is computed of clicks, by whichever process: a fitted blend, and its sessions and their visitors."""

    blend: Blend
    sessions: Hashes
    visitors: Hashes

    @classmethod
    def of(cls, clicks: Clicks, weights: Mapping[str, float], *, tune: bool) -> Self:
        """Index all clicks by their numbers; `tune` the weights to the newest sessions, beginning with those given."""
        sessions, keys, visitors = _sessions(clicks)
        blend = Blend(weights=weights)
        if tune:
            blend = blend.tuned(sessions, most=MOST_QUESTIONS)
        return cls(blend=blend.fit(sessions), sessions=keys, visitors=visitors)


class Candidate(NamedTuple):
    """A product that may be shown, and from where it comes. `reason` says why, and is only asked for what is shown."""

    product: str
    reason: Callable[[], "Why"]


class Why(NamedTuple):
    """Why a product is shown: `beside` is a product that was seen, with which `shoppers` saw it."""

    kind: Literal["together", "next", "seen", "category", "popular"]
    beside: str | None = None
    shoppers: int | None = None


IN_CATEGORY, IN_SHOP = Why("category"), Why("popular")


class SessionIndex:
    """A build with the names of its products. For one thread at a time, like the blend in it.

    `log_appeal` of a product is added to its score, which is the logarithm of how likely it comes next.
    """

    def __init__(
        self, built: Build, clicks: Clicks, category_of: CategoryOf, log_appeal: Mapping[str, float] | None = None
    ) -> None:
        self._blend, self._visitors, self._category_of = built.blend, built.visitors, category_of
        self._products, self._numbers, self._known = clicks.products, clicks.numbers, clicks.known
        self._popular: list[Candidate] = []
        self._popular_in: dict[str, list[Candidate]] = {}
        self._log_appeal = np.zeros(clicks.known)
        for product, appeal in (log_appeal or {}).items():
            if (number := self._number(product)) is not None:
                self._log_appeal[number] = appeal
        popular = built.blend.popular_
        shown_as = np.log1p(built.blend.lately_[0][popular]) + self._log_appeal[popular]
        ranked = popular[np.argsort(-shown_as, kind="stable")] if log_appeal else popular
        for item in ranked.tolist():
            self._keep_popular(clicks.products[item])

    def _keep_popular(self, product: str) -> None:
        """The next popular product. Of no category are more kept than a query may look at."""
        category = self._category_of(product)
        if category is not None:
            alike = self._popular_in.setdefault(category, [])
            if len(alike) >= MOST_OF_CATEGORY:
                return
            alike.append(Candidate(product, lambda: IN_CATEGORY))
        if len(self._popular) < MOST_POPULAR:
            self._popular.append(Candidate(product, lambda: IN_SHOP))

    @property
    def weights(self) -> Mapping[str, float]:
        """By what it ranks."""
        return self._blend.weights

    def nearby(self, seen: Sequence[str], most: int) -> Iterator[Candidate]:
        """What goes with what was seen, newest first; best first."""
        items = [number for product in reversed(seen[:LONGEST]) if (number := self._number(product)) is not None]
        if not items:
            return
        ranking = self._blend.rank(items)
        wanted = min(len(ranking.items), most + SPARE + len(ranking.own))
        scores = ranking.scores + self._log_appeal[ranking.items]
        best = scores.argpartition(-wanted)[-wanted:]
        for at in best[(-scores[best]).argsort()].tolist():
            yield Candidate(self._products[ranking.items[at]], partial(self._why, ranking, at))

    def popular_in(self, category: str) -> Sequence[Candidate]:
        """The most popular products of a category."""
        return self._popular_in.get(category, ())

    def popular(self) -> Sequence[Candidate]:
        """The most popular products."""
        return self._popular

    def _number(self, product: str) -> int | None:
        number = self._numbers.get(product)
        return number if number is not None and number < self._known else None

    def _why(self, ranking: Ranking, at: int) -> Why:
        item = int(ranking.items[at])
        if item in ranking.own:
            return Why("seen")
        beside, shoppers = self._shoppers(ranking, item)
        if shoppers < LEAST_SHOPPERS and ranking.shares[SOURCES.index("after the last"), at] > 0:
            return Why("next", self._products[ranking.own[0]])
        if shoppers:
            return Why("together", self._products[beside], shoppers)
        return Why("next")

    def _shoppers(self, ranking: Ranking, item: int) -> tuple[int, int]:
        """With which of the own items the most shoppers saw the item, and how many, among the nearest sessions."""
        near = ranking.near
        holding = near.of[near.items == item]
        if not len(holding):
            return ranking.own[0], 0
        shared = near.shared[holding]
        strongest = int(np.bincount(shared).argmax())
        visitors = self._visitors[near.sessions[holding[shared == strongest]]]
        return ranking.own[strongest], len(set(visitors.tolist()))


def _sessions(clicks: Clicks) -> tuple[Sessions, Hashes, Hashes]:
    """The sessions without reloads, in the order of their newest clicks; their hashes and their visitors'."""
    whole = Sessions.of(clicks.sessions, clicks.items, known=clicks.known)
    newest = len(clicks.sessions) - 1 - np.unique(clicks.sessions[::-1], return_index=True)[1]
    newest.sort()
    return _without_reloads(whole), clicks.sessions[newest], clicks.visitors[newest]


def _without_reloads(sessions: Sessions) -> Sessions:
    """The same sessions, an item that comes several times in a row only once."""
    kept = np.ones(len(sessions.items), dtype=bool)
    kept[1:] = sessions.items[1:] != sessions.items[:-1]
    kept[sessions.starts[:-1]] = True
    starts: Ints = np.concatenate([[0], kept.cumsum()])[sessions.starts]
    return Sessions(items=sessions.items[kept], starts=starts, known=sessions.known)
