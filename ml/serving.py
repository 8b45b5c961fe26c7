"""A model that serves: numbers in, probability and reasons out; numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mesh.events.user import Reason
from ml.features import catalogue
from ml.models.trees import Floats, Trees

REASONS = 3


@dataclass(frozen=True, kw_only=True)
class Model:
    """Trees over `features` (in that order) and `knots` (2, k) from raw to calibrated probability."""

    features: tuple[str, ...]
    trees: Trees
    knots: Floats

    def score(self, rows: Floats) -> tuple[Floats, Floats]:
        """Probabilities (n,) and contributions in log-odds (n, features); rows (n, features) must be finite."""
        log_odds, contributions = self.trees.explain(rows)
        return np.interp(1 / (1 + np.exp(-log_odds)), *self.knots), contributions


def reasons(rows: Sequence[Sequence[float]], contributions: Floats, *, most: int = REASONS) -> list[tuple[Reason, ...]]:
    """The strongest reasons of each row in words, strongest first; rows in the order of `features.names()`."""
    known = catalogue()
    strongest = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :most]
    weights = np.take_along_axis(contributions, strongest, axis=1).round(4)
    return [
        tuple(
            Reason(words=known[at].words(row[at]), weight=weight)
            for at, weight in zip(places, weighing, strict=True)
            if weight
        )
        for row, places, weighing in zip(rows, strongest.tolist(), weights.tolist(), strict=True)
    ]
