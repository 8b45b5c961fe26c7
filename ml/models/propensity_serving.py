"""A model that serves: numbers in, probability and reasons out; treelite and numpy, no scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from mesh.events.user import Reason
from ml.features import catalogue
from ml.models.artifact import ArtifactRefused, Plain
from ml.models.tree_inference import TreeInference
from ml.models.trees import Floats, Trees

KIND = "propensity"
REASONS = 3
AT_ONCE = 16_384
"""Rows that are scored at once: each takes some hundred bytes per tree meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """Trees over `features` (in that order) and `knots` (2, k) from raw to calibrated probability.

    `kind` is what an artifact calls it: a model of one kind never serves as another.
    """

    features: tuple[str, ...]
    trees: Trees
    knots: Floats
    kind: str = KIND

    @cached_property
    def inference(self) -> TreeInference:
        """The trees, ready for inference: made once, in some 50 ms."""
        return TreeInference(self.trees)

    def score(self, rows: Floats) -> Floats:
        """Probabilities (n,) of rows (n, features). ValueError for rows of another width.

        NaN is what is not known and goes the way most rows went in training; infinities are larger (smaller)
        than every threshold. No row can make a probability that is not finite.
        """
        return np.concatenate([self._probabilities(self.inference.leaves(part)) for part in self._parts(rows)])

    def explain(self, rows: Floats) -> tuple[Floats, Floats]:
        """Probabilities (n,), and what each feature did to them (n, features) in log-odds before calibration."""
        leaves = [self.inference.leaves(part) for part in self._parts(rows)]
        scored = [(self._probabilities(part), self.inference.contributions(part)) for part in leaves]
        return np.concatenate([probability for probability, _ in scored]), np.concatenate([why for _, why in scored])

    def plain(self) -> Plain:
        """The model as an artifact holds it."""
        return Plain(
            kind=self.kind,
            features=self.features,
            numbers={"baseline": self.trees.baseline},
            arrays={**self.trees.arrays(), "knots": self.knots},
        )

    @classmethod
    def of(cls, plain: Plain) -> Self:
        """The model that was stored, ready to serve. ArtifactRefused when its numbers make no model."""
        knots = plain.array("knots")
        trees = Trees.of(plain.arrays, baseline=plain.number("baseline"), features=len(plain.features))
        if knots.ndim != 2 or len(knots) != 2 or knots.shape[1] < 1 or not np.isfinite(knots).all():
            raise ArtifactRefused("its calibration is no line from finite number to finite number")
        if (np.diff(knots) < 0).any() or knots[1].min() < 0 or knots[1].max() > 1:
            raise ArtifactRefused("its calibration does not rise from 0 towards 1")
        model = cls(features=plain.features, trees=trees, knots=knots, kind=plain.kind)
        _ = model.inference  # made here, where it can be done beside the event loop, not by the first cart
        return model

    def _parts(self, rows: Floats) -> list[Floats]:
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.features):
            raise ValueError(f"rows of {len(self.features)} features are scored, not of shape {rows.shape}")
        return [rows[at : at + AT_ONCE] for at in range(0, max(len(rows), 1), AT_ONCE)]

    def _probabilities(self, leaves: np.ndarray) -> Floats:
        return np.interp(self.inference.probabilities(leaves), *self.knots)


def reasons(rows: Sequence[Sequence[float]], contributions: Floats, *, most: int = REASONS) -> list[tuple[Reason, ...]]:
    """The strongest reasons of each row, strongest first; rows in the order of `features.names()`."""
    known = catalogue()
    strongest = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :most]
    weights = np.take_along_axis(contributions, strongest, axis=1).round(4)
    return [
        tuple(
            Reason(text=known[at].describe(row[at]), weight=weight)
            for at, weight in zip(places, weighing, strict=True)
            if weight
        )
        for row, places, weighing in zip(rows, strongest.tolist(), weights.tolist(), strict=True)
    ]
