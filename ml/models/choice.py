"""Conditional logit: what makes one of several candidates the chosen one.

McFadden, "Conditional logit analysis of qualitative choice behavior", 1974. Of many candidates a random
few are enough, beside the chosen one (McFadden, "Modelling the choice of residential location", 1978).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ITERATIONS = 25
ENOUGH = 1e-6


@dataclass(frozen=True, kw_only=True)
class Question:
    """One choice: the candidates' features (candidates, features) and which of them was chosen."""

    candidates: Floats
    chosen: int


class Choice:
    """Weights of features, by Newton's method; `strength` choices' worth of belief hold them near a `prior`."""

    def __init__(self, *, prior: Floats, strength: float = 20.0) -> None:
        self.prior, self.strength = prior, strength

    def fit(self, questions: Sequence[Question]) -> Self:
        """The most likely weights for these choices; the prior itself where there are none."""
        weights = self.prior.copy()
        if questions:
            rows = np.concatenate([question.candidates for question in questions])
            lengths = np.array([len(question.candidates) for question in questions])
            starts = np.cumsum(lengths) - lengths
            chosen = rows[starts + [question.chosen for question in questions]]
            weights = self._climb(weights, rows, lengths, chosen)
        self.weights_ = weights
        return self

    def _climb(self, weights: Floats, rows: Floats, lengths: NDArray[np.intp], chosen: Floats) -> Floats:
        starts = np.cumsum(lengths) - lengths
        loss = self._loss(weights, rows, lengths, chosen)
        for _ in range(ITERATIONS):
            likely = _softmax(rows @ weights, starts, lengths)
            weighted = rows * likely[:, None]
            mean = np.add.reduceat(weighted, starts)
            gradient = chosen.sum(0) - mean.sum(0) - self.strength * (weights - self.prior)
            curvature = rows.T @ weighted - mean.T @ mean + self.strength * np.eye(len(weights))
            step, pace = np.linalg.solve(curvature, gradient), 1.0
            while (better := self._loss(weights + pace * step, rows, lengths, chosen)) > loss and pace > ENOUGH:
                pace /= 2
            if better > loss - ENOUGH * len(lengths):
                return weights if better > loss else weights + pace * step
            weights, loss = weights + pace * step, better
        return weights

    def _loss(self, weights: Floats, rows: Floats, lengths: NDArray[np.intp], chosen: Floats) -> float:
        starts = np.cumsum(lengths) - lengths
        scores = rows @ weights
        top = np.maximum.reduceat(scores, starts)
        total = top + np.log(np.add.reduceat(np.exp(scores - np.repeat(top, lengths)), starts))
        away = weights - self.prior
        return float((total - chosen @ weights).sum() + self.strength / 2 * away @ away)


def _softmax(scores: Floats, starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> Floats:
    odds = np.exp(scores - np.repeat(np.maximum.reduceat(scores, starts), lengths))
    return odds / np.repeat(np.add.reduceat(odds, starts), lengths)
