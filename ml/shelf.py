"""A shelf: an index over the newest sessions that never changes, with products by name and reasons to show them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from ml.models.blend import SOURCES, Blend, Ranking
from ml.models.repeats import LONGEST
from ml.models.sessions import Ints, Sessions

Hashes = NDArray[np.int64]
SPARE = 12
"""Candidates beyond those wanted, for some may not be shown."""
MOST_POPULAR = 200
MOST_QUESTIONS = 800
"""Asked for tuning; a second's work at most, beside the event loop."""
LEAST_SHOPPERS = 2
"""So many shoppers must have seen two products together for it to be a reason of its own."""


@dataclass(frozen=True, kw_only=True)
class Clicks:
    """What shoppers saw, in time order: `sessions`, `visitors` (both hashes) and `items`, each (clicks,).

    Item i is `products[i]`, of the category `categories[i]` where that is known.
    """

    sessions: Hashes
    visitors: Hashes
    items: Hashes
    products: tuple[str, ...]
    categories: tuple[str | None, ...]

    def of_sessions(self, sessions: Hashes) -> "Clicks":
        """Those of these sessions."""
        kept = np.isin(self.sessions, sessions)
        return Clicks(
            sessions=self.sessions[kept],
            visitors=self.visitors[kept],
            items=self.items[kept],
            products=self.products,
            categories=self.categories,
        )


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A product that may be shown and why: `beside` is a product that was seen, with which `shoppers` saw it."""

    product: str
    kind: Literal["together", "next", "seen", "category", "popular"]
    beside: str | None = None
    shoppers: int | None = None


class Shelf:
    """Made by `build` or `extended`. For one thread at a time, like the blend in it."""

    def __init__(self, blend: Blend, clicks: Clicks, sessions: Hashes, visitors: Hashes) -> None:
        self._blend, self._products = blend, clicks.products
        self._numbers = {product: number for number, product in enumerate(clicks.products)}
        self._sessions, self._visitors = sessions, visitors
        self._popular = [clicks.products[item] for item in blend.popular_[:MOST_POPULAR].tolist()]
        self._popular_in: dict[str, list[str]] = {}
        for item in blend.popular_.tolist():
            if (category := clicks.categories[item]) is not None:
                self._popular_in.setdefault(category, []).append(clicks.products[item])

    @classmethod
    def build(cls, clicks: Clicks, weights: Mapping[str, float], *, tune: bool = False) -> Self:
        """Index all clicks; `tune` the weights to the newest sessions, beginning with those given."""
        sessions, keys, visitors = _sessions(clicks)
        blend = Blend(weights=weights)
        if tune:
            blend = blend.tuned(sessions, most=MOST_QUESTIONS)
        return cls(blend.fit(sessions), clicks, keys, visitors)

    @property
    def weights(self) -> Mapping[str, float]:
        """By what it ranks."""
        return self._blend.weights

    def extended(self, clicks: Clicks, news: int) -> "Shelf":
        """A new shelf with the sessions to which the last `news` of the clicks belong, as they are now."""
        newer = clicks.of_sessions(np.unique(clicks.sessions[len(clicks.sessions) - news :]))
        sessions, keys, visitors = _sessions(newer)
        blend = self._blend.extended(sessions, replaced=np.isin(self._sessions, keys).nonzero()[0])
        return Shelf(blend, clicks, np.concatenate([self._sessions, keys]), np.concatenate([self._visitors, visitors]))

    def nearby(self, seen: Sequence[str], most: int) -> Iterator[Candidate]:
        """What goes with what was seen, newest first; best first."""
        newest = seen[:LONGEST]
        items = [number for product in reversed(newest) if (number := self._numbers.get(product)) is not None]
        if not items:
            return
        ranking = self._blend.rank(items)
        wanted = min(len(ranking.items), most + SPARE + len(ranking.own))
        best = ranking.scores.argpartition(-wanted)[-wanted:]
        for at in best[(-ranking.scores[best]).argsort()].tolist():
            yield self._with_reason(ranking, at)

    def popular_in(self, category: str) -> Iterator[Candidate]:
        """The most popular products of a category."""
        return (Candidate(product=product, kind="category") for product in self._popular_in.get(category, ()))

    def popular(self) -> Iterator[Candidate]:
        """The most popular products."""
        return (Candidate(product=product, kind="popular") for product in self._popular)

    def _with_reason(self, ranking: Ranking, at: int) -> Candidate:
        item = int(ranking.items[at])
        product = self._products[item]
        if item in ranking.own:
            return Candidate(product=product, kind="seen")
        beside, shoppers = self._shoppers(ranking, item)
        if shoppers < LEAST_SHOPPERS and ranking.shares[SOURCES.index("after the last"), at] > 0:
            return Candidate(product=product, kind="next", beside=self._products[ranking.own[0]])
        if shoppers:
            return Candidate(product=product, kind="together", beside=self._products[beside], shoppers=shoppers)
        return Candidate(product=product, kind="next")

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
    whole = Sessions.of(clicks.sessions, clicks.items, known=len(clicks.products))
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
