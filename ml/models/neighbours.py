"""Products that sessions see together: decayed co-occurrence, tempered by popularity.

Item-to-item collaborative filtering (Linden, Smith and York, IEEE Internet Computing 2003) on the newest
sessions: products up to five steps apart count one over their distance, forward twice as much as backward.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
REACH = 5
NEIGHBOURS = 24
RECENT = 8
DECAY = 0.8
_WEIGHTS = DECAY ** np.arange(RECENT)[:, None]


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """An index that never changes: for each product its strongest neighbours, and all products by popularity.

    `near` (products, 24) holds numbers of products, -1 where there are none; `strength` belongs to it.
    """

    products: Sequence[str]
    numbers: dict[str, int]
    near: Ints
    strength: Floats
    popular: Ints

    def recommend(self, seen: Sequence[str], *, without: Collection[str], most: int) -> list[str]:
        """Up to `most` products for who has `seen` these, newest first; never one of `without`; best first."""
        known = [self.numbers[product] for product in seen[:RECENT] if product in self.numbers]
        chosen = self._near(known, without, most) if known else []
        if len(chosen) < most:
            shown = {*without, *chosen}
            rest = (self.products[number] for number in self.popular.tolist())
            chosen += islice((product for product in rest if product not in shown), most - len(chosen))
        return chosen

    def _near(self, known: list[int], without: Collection[str], most: int) -> list[str]:
        near = self.near[known].ravel()
        there = near >= 0
        candidates, at = np.unique(near[there], return_inverse=True)
        strength = np.bincount(at, (self.strength[known] * _WEIGHTS[: len(known)]).ravel()[there], len(candidates))
        best = candidates[np.argsort(-strength, kind="stable")]
        found: list[str] = []
        for number in best.tolist():
            if (product := self.products[number]) not in without:
                found.append(product)
                if len(found) == most:
                    break
        return found


def build(products: Sequence[str], numbers: dict[str, int], sessions: Ints, items: Ints) -> Neighbours:
    """The index over steps in time order: `sessions` (n,) and the `items` (n,) they were about, by number."""
    count = len(products)
    order = np.argsort(sessions, kind="stable")
    session, item = sessions[order], items[order]
    popularity = np.bincount(items, minlength=count).astype(np.float64)
    pairs, weights = [], []
    for lag in range(1, REACH + 1):
        same = (session[lag:] == session[:-lag]) & (item[lag:] != item[:-lag])
        first, second = item[:-lag][same], item[lag:][same]
        pairs += [first * count + second, second * count + first]
        weights += [np.full(len(first), 1 / lag), np.full(len(first), 0.5 / lag)]
    pair, at = np.unique(np.concatenate(pairs), return_inverse=True) if count else (np.zeros(0, np.int64),) * 2
    together = np.bincount(at, np.concatenate(weights), len(pair)) if len(pair) else np.zeros(0)
    source, target = np.divmod(pair, max(count, 1))
    near, strength = _strongest(source, target, together / np.sqrt(np.maximum(popularity[target], 1)), count)
    popular = np.argsort(-popularity, kind="stable")[:200]
    return Neighbours(products=products, numbers=numbers, near=near, strength=strength, popular=popular)


def _strongest(source: Ints, target: Ints, strength: Floats, count: int) -> tuple[Ints, Floats]:
    order = np.lexsort((target, -strength, source))
    source, target, strength = source[order], target[order], strength[order]
    rank = np.arange(len(source)) - np.searchsorted(source, source)
    kept = rank < NEIGHBOURS
    near = np.full((count, NEIGHBOURS), -1, dtype=np.int64)
    strengths = np.zeros((count, NEIGHBOURS))
    near[source[kept], rank[kept]] = target[kept]
    strengths[source[kept], rank[kept]] = strength[kept]
    return near, strengths
