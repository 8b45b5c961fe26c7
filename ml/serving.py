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


def reasons(row: Sequence[float], contributions: Floats, *, most: int = REASONS) -> tuple[Reason, ...]:
    """The strongest reasons in words, for a row in the order of `features.names()`."""
    known = catalogue()
    strongest = np.argsort(-np.abs(contributions), kind="stable")[:most]
    return tuple(
        Reason(words=known[at].words(row[at]), weight=round(float(contributions[at]), 4))
        for at in strongest.tolist()
        if abs(contributions[at]) > 1e-6
    )
