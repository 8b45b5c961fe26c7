"""Propensity to buy: gradient-boosted trees with isotonic calibration (Zadrozny and Elkan, KDD 2002)."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from ml.models.propensity_serving import Model
from ml.models.trees import Floats, Node, Trees, padded

LEAST_TO_CALIBRATE = (200, 10)
"""Rows and rows of the rarer label below which calibration would be noise and is left out."""


FOLDS = 5
LARGEST = 1e30
"""Inputs are cut to this size when learning: infinities would make thresholds that are no numbers."""


class PropensityClassifier(ClassifierMixin, BaseEstimator):
    """HistGradientBoosting without class weights, then isotonic calibration applied by `np.interp`.

    After `fit`: `booster_`, `trees_` (the same as arrays), `knots_` (2, k): raw to calibrated probability.
    """

    def __init__(
        self,
        *,
        max_iter: int = 80,
        max_depth: int = 4,
        learning_rate: float = 0.08,
        max_features: float = 0.5,
        l2_regularization: float = 5.0,
        seed: int = 7,
    ) -> None:
        self.max_iter = max_iter
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.max_features = max_features
        self.l2_regularization = l2_regularization
        self.seed = seed

    def fit(
        self,
        rows: Floats,
        labels: Floats,
        *,
        newest: tuple[Floats, Floats] | None = None,
        crossed: bool = False,
        groups: NDArray[Any] | None = None,
        among: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Learn from rows (n, features), NaN where nothing is known, and labels (n,) of 0 and 1.

        Calibrates on the `newest` slice, rows and labels that come after all others. Where no slice is newest,
        `crossed` calibrates on what five boosters say of rows that they did not see; rows of one of the
        `groups` (n,) are then never on both sides, and only rows `among` (n,) count where that is given.
        """
        self.booster_ = self._boosted(rows, labels)
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = rows.shape[1]
        self.trees_ = trees_of(self.booster_)
        self.knots_ = np.array([[0.0, 1.0], [0.0, 1.0]])
        if newest is not None:
            self.knots_ = calibrated(self._raw(newest[0]), newest[1])
        elif crossed and (unseen := self._unseen(rows, labels, groups)) is not None:
            counted = np.ones(len(rows), dtype=np.bool_) if among is None else among
            self.knots_ = calibrated(unseen[counted], labels[counted])
        return self

    def _raw(self, rows: Floats) -> Floats:
        return self.booster_.predict_proba(rows)[:, 1]

    def _boosted(self, rows: Floats, labels: Floats) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            max_iter=self.max_iter,
            max_depth=self.max_depth,
            learning_rate=self.learning_rate,
            max_features=self.max_features,
            min_samples_leaf=max(5, min(40, len(rows) // 50), min(100, len(rows) // 500)),
            l2_regularization=self.l2_regularization,
            early_stopping=False,
            random_state=self.seed,
        ).fit(np.clip(rows, -LARGEST, LARGEST), labels)

    def _unseen(self, rows: Floats, labels: Floats, groups: NDArray[Any] | None) -> Floats | None:
        """What boosters say of rows that they did not learn from; None where too few groups have one of the labels."""
        parts = np.arange(len(rows)) if groups is None else groups
        if min(len(np.unique(parts[labels == label])) for label in (0, 1)) < LEAST_TO_CALIBRATE[1]:
            return None
        by = StratifiedKFold if groups is None else StratifiedGroupKFold
        folds = by(FOLDS, shuffle=True, random_state=self.seed).split(rows, labels, groups)
        raw = np.zeros(len(rows))
        for old, new in folds:
            raw[new] = self._boosted(rows[old], labels[old]).predict_proba(rows[new])[:, 1]
        return raw

    def predict_proba(self, rows: Floats) -> Floats:
        """Calibrated probabilities (n, 2)."""
        bought = np.interp(self._raw(rows), *self.knots_)
        return np.column_stack([1 - bought, bought])

    def predict(self, rows: Floats) -> Floats:
        """1 where buying is likelier than not."""
        return (self.predict_proba(rows)[:, 1] > 0.5).astype(np.int64)

    def served(self, features: tuple[str, ...]) -> Model:
        """What serving needs, in numbers only."""
        return Model(features=features, trees=self.trees_, knots=self.knots_)


def trees_of(booster: HistGradientBoostingClassifier) -> Trees:
    """The trees inside a fitted booster; a test holds them equal to `predict_proba`."""
    forest = [[_node(node) for node in trees[0].nodes] for trees in booster._predictors]  # noqa: SLF001  no public way
    baseline = float(np.ravel(booster._baseline_prediction)[0])  # noqa: SLF001
    return padded(forest, baseline=baseline, features=booster.n_features_in_)


def _node(node: np.void) -> Node:
    leaf = bool(node["is_leaf"])
    return Node(
        feature=int(node["feature_idx"]),
        threshold=float(node["num_threshold"]),
        unknown_left=bool(node["missing_go_to_left"]),
        left=0 if leaf else int(node["left"]),
        right=0 if leaf else int(node["right"]),
        value=float(node["value"]),
        count=int(node["count"]),
    )


def calibrated(raw: Floats, labels: Floats) -> Floats:
    """Knots (2, k) from raw to calibrated probability, for `np.interp`; the identity where there is too little.

    Isotonic regression, centred (Oron and Flournoy, J. Surv. Stat. Methodol. 2017): each level stands at the mean
    of its raw probabilities, with straight lines between and, beyond the last, half the way to certainty.
    Plateaus would make equals of rows that are not.
    """
    bought = int(labels.sum())
    rarer = min(bought, len(labels) - bought)
    if len(raw) < LEAST_TO_CALIBRATE[0] or rarer < LEAST_TO_CALIBRATE[1]:
        return np.array([[0.0, 1.0], [0.0, 1.0]])
    # Never quite 0 or 1: nobody is known that well from so few.
    edge = 1 / (len(labels) + 2)
    levels = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit_transform(raw, labels)
    level, at = np.unique(levels.round(12), return_inverse=True)
    centre = np.maximum.accumulate(np.bincount(at, raw) / np.bincount(at))
    return np.array([[0.0, *centre, 1.0], [level[0] / 2, *level, (1 + level[-1]) / 2]])
