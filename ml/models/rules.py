"""Sequential rules: what follows an item within a few steps, the nearer the more.

Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", User Modeling and User-Adapted
Interaction 28, 2018.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from ml.models.lists import Lists
from ml.models.sessions import Ints, Sessions

Floats = NDArray[np.float64]


class SequentialRules:
    """For each item what came after it and before it, within `steps`, weighed by one over the distance.

    Shares are of all that came after (or before) the item; only the `most` strongest are kept.
    """

    def __init__(self, *, steps: int = 5, most: int = 50) -> None:
        self.steps, self.most = steps, most

    def fit(self, sessions: Sessions) -> Self:
        """Count pairs of items of the same session."""
        self.after_, self.before_, self.total_after_, self.total_before_ = self._count(sessions)
        return self

    def after(self, item: int) -> tuple[Ints, Floats]:
        """What came after the item, with shares of all that did."""
        return _look_up(self.after_, self.total_after_, item)

    def before(self, item: int) -> tuple[Ints, Floats]:
        """What came before the item, with shares of all that did."""
        return _look_up(self.before_, self.total_before_, item)

    def _count(self, sessions: Sessions) -> tuple[Lists, Lists, Floats, Floats]:
        known, items, owners = sessions.known, sessions.items, sessions.owners
        scale = self.steps + 1
        keys = []
        for lag in range(1, self.steps + 1):
            pair = np.flatnonzero((owners[lag:] == owners[:-lag]) & (items[lag:] != items[:-lag]))
            keys.append((items[pair] * known + items[pair + lag]) * scale + lag)
            if not len(pair):
                break
        key = np.sort(np.concatenate(keys)) if keys else np.zeros(0, np.intp)
        pair, lag = np.divmod(key, scale)
        first = np.flatnonzero(np.r_[True, pair[1:] != pair[:-1]]) if len(pair) else np.zeros(0, np.intp)
        strength = np.add.reduceat(1 / lag, first) if len(pair) else np.zeros(0)
        one, other = np.divmod(pair[first], max(known, 1))
        turned = np.sort(other * len(other) + np.arange(len(other))) % max(len(other), 1)
        return (
            self._strongest(one, other, strength, known),
            self._strongest(other[turned], one[turned], strength[turned], known),
            np.bincount(one, strength, known).astype(float),
            np.bincount(other, strength, known).astype(float),  # of no pairs at all numpy counts in integers
        )

    def _strongest(self, owner: Ints, item: Ints, strength: Floats, known: int) -> Lists:
        """Lists in which only the strongest are left, from columns sorted by owner."""
        sizes = np.bincount(owner, minlength=known)
        many = np.flatnonzero(sizes[owner] > self.most)
        order = many[np.lexsort((-strength[many], owner[many]))]
        starts = np.cumsum(sizes) - sizes
        # ranks within the long lists: positions of the sorted entries are the positions of the unsorted ones
        rank = many - starts[owner[many]]
        kept = np.ones(len(owner), dtype=bool)
        kept[order[rank >= self.most]] = False
        return Lists.of(owner[kept], known, item[kept], strength[kept])


def _look_up(lists: Lists, total: Floats, item: int) -> tuple[Ints, Floats]:
    (items, strengths), listed = lists.columns, lists.span(item)
    return items[listed], strengths[listed] / max(total[item], 1e-9)
