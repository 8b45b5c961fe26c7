"""The blend: neighbours, sequential rules, session repeats and popularity weighed into one ranking.

Every source says how likely it holds each candidate; the weighted sum of the logarithms ranks them. The
weights are those of a conditional logit (`ml.models.choice`) fitted to the newest sessions.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ml.models.choice import Choice, Question
from ml.models.lists import counting, first_uses
from ml.models.repeats import PLACES, own_items
from ml.models.rules import SequentialRules
from ml.models.sessions import Ints, Sessions
from ml.models.vmis import Found, Vmis, best

Floats = NDArray[np.float64]
SOURCES = ("neighbours", "neighbours lately", "after the last", "before the last", "after the one before")
REPEATS = ("last again", "one back", "two back", "three back", "earlier", "came back", "own and popular")
POPULARITY = ("popular", "popular lately", "popular just now")
NAMES = SOURCES + REPEATS + POPULARITY
WEIGHTS: Mapping[str, float] = {
    "neighbours": 1.0,
    "neighbours lately": 0.1,
    "after the last": 0.08,
    "before the last": 0.05,
    "after the one before": 0.05,
    "last again": 0.5,
    "one back": 2.0,
    "two back": 1.2,
    "three back": 1.4,
    "earlier": 1.6,
    "came back": 0.8,
    "own and popular": -0.45,
    "popular": -0.55,
    "popular lately": 0.3,
    "popular just now": 0.2,
}
"""What to begin with; good without any tuning."""
LATELY = (0.1, 0.02)
"""The newest parts of all clicks that count as lately and just now."""
UNSEEN_SHARE = 1e-4
"""The share that a source is taken to give to what it does not hold."""
HELD_OUT = 0.05
MOST_QUESTIONS = 3_000
MOST_CANDIDATES = 120
POPULAR = 1_000


class Ranking(NamedTuple):
    """Candidates (n,) with their scores, and what each source gives them (sources, n), shares in 0..1.

    `own` are the distinct items of the session, newest first, and `near` is what its neighbours hold.
    """

    items: Ints
    scores: Floats
    shares: Floats
    own: list[int]
    near: Found


class Blend:
    """Ranks what may come next in a session. Not for two threads at once."""

    def __init__(
        self,
        *,
        weights: Mapping[str, float] = WEIGHTS,
        neighbours: Vmis | None = None,
        rules: SequentialRules | None = None,
    ) -> None:
        self.weights, self.neighbours, self.rules = weights, neighbours, rules

    def fit(self, sessions: Sessions) -> Self:
        """Index the sessions."""
        neighbours = self.neighbours or Vmis(newest=500, neighbours=300, reach=3.0)
        rules = self.rules or SequentialRules()
        clicks = sessions.items
        lately = np.stack(
            [np.bincount(clicks[int(len(clicks) * (1 - part)) :], minlength=sessions.known) for part in LATELY]
        )
        self._keep(neighbours.fit(sessions), rules.fit(sessions), lately)
        return self

    def tuned(self, sessions: Sessions, *, seed: int = 0, most: int = MOST_QUESTIONS) -> "Blend":
        """A blend that is not fitted yet, with weights tuned to the newest of the sessions.

        Asks `most` times what came next in these sessions of a blend that was fitted to the older ones.
        """
        held = max(1, int(len(sessions) * HELD_OUT))
        older, newest = sessions.part(0, len(sessions) - held), sessions.part(len(sessions) - held, len(sessions))
        questioned = Blend(weights=self.weights).fit(older)
        rng = np.random.default_rng(seed)
        prior = np.array([self.weights[name] for name in NAMES])
        choice = Choice(prior=prior).fit(questioned.questions(newest, rng, most))
        return Blend(weights=dict(zip(NAMES, choice.weights_.round(3).tolist(), strict=True)))

    def rank(self, seen: Sequence[int]) -> Ranking:
        """All candidates for a session that saw these items, in time order; unordered."""
        own, again = own_items(seen)
        candidates, shares, places, near = self._candidates(own)
        scores = self._popularity[candidates] + self._source_weights @ np.log(shares.astype(np.float32) + UNSEEN_SHARE)
        scores[places] += self._repeat_weights[: len(own)] + self._own_popularity[candidates[places]]
        if any(again):
            scores[places[again]] += self.weights["came back"]
        return Ranking(candidates, scores, shares, own, near)

    def predict(self, seen: Sequence[int], *, most: int) -> list[int]:
        """Up to `most` items for a session that saw these in time order, best first; popular ones to fill up."""
        if seen:
            ranking = self.rank(seen)
            chosen = best(ranking.items, ranking.scores, most)
        else:
            chosen = []
        if len(chosen) < most:
            held = set(chosen)
            chosen += [item for item in self.popular_[: most + len(held)].tolist() if item not in held]
        return chosen[:most]

    def _keep(self, neighbours: Vmis, rules: SequentialRules, lately: Ints) -> None:
        self.neighbours_, self.rules_, self.lately_ = neighbours, rules, lately
        weights = np.array([self.weights[name] for name in NAMES])
        self._source_weights = weights[: len(SOURCES)].astype(np.float32)
        places = weights[len(SOURCES) : len(SOURCES) + PLACES]
        self._repeat_weights = np.concatenate([places, np.full(256, places[-1])])
        self._popular = np.log1p(np.concatenate([neighbours.held_[None], lately]))
        self._own_popularity = self.weights["own and popular"] * self._popular[0]
        self._popularity = weights[-len(POPULARITY) :] @ self._popular
        self._slots, self._places = np.zeros(len(neighbours.held_), np.intp), np.zeros(1 << 12, np.intp)
        popular = np.argsort(-(lately[0] + neighbours.held_ / (1 + neighbours.held_.max(initial=0))), kind="stable")
        self.popular_ = popular[:POPULAR][neighbours.held_[popular[:POPULAR]] > 0]

    def _candidates(self, own: list[int]) -> tuple[Ints, Floats, Ints, Found]:
        """Candidates (n,), their shares by source (sources, n), where the own items are among them, what is near."""
        near = self.neighbours_.evidence(own)
        rules = [self.rules_.after(own[0]), self.rules_.before(own[0])]
        if len(own) > 1:
            rules.append(self.rules_.after(own[1]))
        items = np.concatenate([near.items, *(items for items, _ in rules), own])
        first, use = first_uses(items, self._slots)
        if len(self._places) < len(items):
            self._places = np.zeros(2 * len(items), np.intp)
        self._places[first] = counting(len(first))
        place = self._places[use]
        found, listed = place[: len(near.items)], place[len(near.items) : -len(own)]
        listed += counting(len(rules)).repeat([len(items) for items, _ in rules]) * len(first)
        followed = np.bincount(listed, np.concatenate([shares for _, shares in rules]), (len(SOURCES) - 2) * len(first))
        shares = np.concatenate(
            [_shares(np.bincount(found, weights, len(first))) for weights in (near.weights, near.lately)] + [followed]
        )
        return items[first], shares.reshape(len(SOURCES), -1), place[-len(own) :], near

    def features(self, seen: Sequence[int]) -> tuple[Ints, Floats]:
        """Candidates (n,) for a session that saw these items, and their features (n, names) as `NAMES` says."""
        own, again = own_items(seen)
        candidates, shares, places, _ = self._candidates(own)
        features = np.zeros((len(candidates), len(NAMES)))
        features[:, : len(SOURCES)] = np.log(shares + UNSEEN_SHARE).T
        features[places, len(SOURCES) + np.minimum(np.arange(len(own)), PLACES - 1)] = 1
        features[places, len(SOURCES) + PLACES] = again
        features[places, len(SOURCES) + PLACES + 1] = self._popular[0][own]
        features[:, -len(POPULARITY) :] = self._popular[:, candidates].T
        return candidates, features

    def questions(self, newest: Sessions, rng: np.random.Generator, most: int) -> list[Question]:
        """What came next in sessions that are not in the index, where it was among the candidates."""
        places = np.setdiff1d(np.arange(len(newest.items)), newest.starts)
        asked = rng.permutation(places)[:most]
        starts = newest.starts[newest.owners[asked]] if len(asked) else asked
        questions = []
        for start, place in zip(starts.tolist(), asked.tolist(), strict=True):
            candidates, features = self.features(newest.items[start:place].tolist())
            chosen = np.flatnonzero(candidates == newest.items[place])
            if len(chosen):
                others = rng.permutation(np.delete(np.arange(len(candidates)), chosen))[: MOST_CANDIDATES - 1]
                questions.append(Question(candidates=features[np.concatenate([chosen, others])], chosen=0))
        return questions


def _shares(weights: Floats) -> Floats:
    return weights / max(weights.sum(), 1e-9)
