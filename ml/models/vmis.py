"""VMIS-kNN: what sessions like this one went on to.

Kersbergen, Sprangers and Schelter, "Serenade: Low-Latency Session-Based Recommendation in e-Commerce at
Scale", SIGMOD 2022. The three decays of STAN (Garg, Gupta, Malhotra, Vig and Shroff, SIGIR 2019) can
replace its linear ones.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ml.models.lists import Lists, between, counting, first_uses
from ml.models.sessions import Ints, Sessions

Floats = NDArray[np.float64]


class Found(NamedTuple):
    """Entries (n,): an item of a near session, what it weighs there, and which of the near sessions (k,) that is.

    `lately` (n,) is what it weighs where new sessions and what came after the shared item count more (with a
    reach; else the same). `shared` (k,) is the place, in what was asked, of the newest item that each shares.
    """

    items: Ints
    weights: Floats
    lately: Floats
    of: Ints
    sessions: Ints
    shared: Ints


FAR = 4
"""Items this many reaches away from the match weigh under 2 %, and are not looked at."""
LATELY, AHEAD = 0.1, 3.0
"""Of what counts lately: sessions fade over this share of all, what came after the match counts so many times."""


class Vmis:
    """Scores items by the sessions nearest to the one at hand; one query at a time (it has scratch memory).

    `newest` sessions are looked at per item, the `neighbours` most similar of all count; of the session at
    hand the `last` distinct items. As published: a session is as similar as its shared items are late in the
    session at hand (linear), its items weigh less the longer ago the newest shared one is, and rare
    items weigh more (idf). With a `reach` (items): shared items fade exponentially with `recall` (items) and
    weigh more where they are rare, and a neighbour's items fade with their distance from the shared one.
    """

    def __init__(
        self,
        *,
        newest: int = 500,
        neighbours: int = 100,
        last: int = 9,
        recall: float = 2.0,
        reach: float | None = None,
    ) -> None:
        self.newest, self.neighbours, self.last = newest, neighbours, last
        self.recall, self.reach = recall, reach

    def fit(self, sessions: Sessions) -> Self:
        """Index the sessions: for each item the newest that hold it, and where in them it is last."""
        self._keep(*self._index(sessions))
        return self

    def nearest(self, seen: Sequence[int]) -> tuple[Ints, Floats, Ints, Ints]:
        """The sessions nearest to one that `seen` these distinct items, newest first.

        Returns sessions (k,), their similarity, the entry of `lists_` of the newest item that each shares, and
        that item's place in `seen`.
        """
        recent = np.array(seen[: self.last], dtype=np.intp)
        index, shared = between(self.lists_.low[recent], self.lists_.high[recent])
        if not len(index):
            none = np.zeros(0, np.intp)
            return none, np.zeros(0), none, none
        sessions = self.lists_.columns[0][index]
        first, use = first_uses(sessions, self._session_slots)
        similarity = np.bincount(use, self._recalled(recent)[shared])[first]
        candidates = sessions[first]
        if len(candidates) > self.neighbours:
            newness = candidates * (1e-9 / len(self.sessions_))
            best = (similarity + newness).argpartition(-self.neighbours)[-self.neighbours :]
            candidates, similarity, first = candidates[best], similarity[best], first[best]
        return candidates, similarity, index[first], shared[first]

    def evidence(self, seen: Sequence[int]) -> Found:
        """Items of the sessions nearest to one that `seen` these distinct items, newest first."""
        sessions, similarity, entry, shared = self.nearest(seen)
        _, click, low, high = self.lists_.columns
        index, of = between(low[entry], high[entry])
        items = self.sessions_.items[index]
        if self.reach is None:
            weights = (similarity * np.maximum(1 - 0.1 * shared, 0.1))[of] * self.rarity_[items]
            return Found(items, weights, weights, of, sessions, shared)
        away = index + (self._far - click[entry])[of]
        weights, fresh = similarity[of], (similarity * self._freshness[sessions])[of]
        return Found(items, weights * self._fading[away], fresh * self._fading_ahead[away], of, sessions, shared)

    def predict(self, seen: Sequence[int], *, most: int) -> list[int]:
        """Up to `most` items for a session that saw these distinct items, newest first; best first."""
        items, weights, *_ = self.evidence(seen)
        first, use = first_uses(items, self._item_slots)
        return best(items[first], np.bincount(use, weights)[first] if len(items) else weights, most)

    def _keep(self, sessions: Sessions, lists: Lists, held: Ints) -> None:
        self.sessions_, self.lists_, self.held_ = sessions, lists, held
        self.rarity_ = np.log(max(len(sessions), 1) / np.maximum(held, 1))
        self._session_slots, self._item_slots = np.zeros(len(sessions), np.intp), np.zeros(sessions.known, np.intp)
        away = np.arange(-self._far, self._far + 1)
        self._fading = np.exp(-np.abs(away) / (self.reach or 1.0))
        self._fading_ahead = self._fading * np.where(away > 0, AHEAD, 1.0)
        self._freshness = np.exp((np.arange(len(sessions)) / max(len(sessions), 1) - 1) / LATELY)
        self._pulls = np.exp(-np.arange(self.last) / self.recall)
        self._rarities = self.rarity_ + 0.1

    @property
    def _far(self) -> int:
        return int(FAR * (self.reach or 0.0))

    def _recalled(self, recent: Ints) -> Floats:
        """How much each of these items makes a session that has it alike."""
        if self.reach is None:
            return 1 - counting(len(recent)) / len(recent)
        return self._pulls[: len(recent)] * self._rarities[recent]

    def _index(self, sessions: Sessions) -> tuple[Sessions, Lists, Ints]:
        """Sessions without repeats (the last counts), their lists, and how many sessions hold each item.

        An item lists the newest sessions that hold it, the newest last: session, click, and the clicks to look at.
        """
        clicks = len(sessions.items)
        order = np.sort(sessions.items * clicks + np.arange(clicks)) % max(clicks, 1)
        owners = sessions.owners
        item, owner = sessions.items[order], owners[order]
        last = np.ones(clicks, dtype=bool)
        last[:-1] = (item[1:] != item[:-1]) | (owner[1:] != owner[:-1])
        order, item, owner = order[last], item[last], owner[last]
        left = np.zeros(clicks, dtype=bool)
        left[order] = True
        starts = np.concatenate([[0], np.cumsum(left)])[sessions.starts]
        once = Sessions(items=sessions.items[left], starts=starts, known=sessions.known)
        held = np.bincount(item, minlength=sessions.known)
        kept = np.arange(len(item)) >= np.cumsum(held)[item] - self.newest
        order, item, owner = order[kept], item[kept], owner[kept]
        at, low, high = (np.cumsum(left) - 1)[order], starts[owner], starts[owner + 1]
        if self.reach is not None:
            low, high = np.maximum(low, at - self._far), np.minimum(high, at + self._far + 1)
        return once, Lists.of(item, sessions.known, owner, at, low, high), held


def best(items: Ints, scores: Floats, most: int) -> list[int]:
    """Up to `most` of the items by their scores, best first."""
    if len(items) > most:
        kept = scores.argpartition(-most)[-most:]
        items, scores = items[kept], scores[kept]
    return items[(-scores).argsort()].tolist()
