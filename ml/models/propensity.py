"""Propensity to buy: gradient-boosted trees with isotonic calibration (Zadrozny and Elkan, KDD 2002)."""

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression

from ml.models.trees import Floats, Node, Trees, padded
from ml.serving import Model

LEAST_TO_CALIBRATE = (200, 10)
"""Rows and rows of the rarer label below which calibration would be noise and is left out."""


class PropensityClassifier(ClassifierMixin, BaseEstimator):
    """HistGradientBoosting without class weights, then isotonic calibration applied by `np.interp`.

    After `fit`: `booster_`, `trees_` (the same as arrays), `knots_` (2, k): raw to calibrated probability.
    """

    def __init__(self, *, max_iter: int = 70, max_depth: int = 4, learning_rate: float = 0.08, seed: int = 7) -> None:
        self.max_iter = max_iter
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.seed = seed

    def fit(self, rows: Floats, labels: Floats, *, newest: tuple[Floats, Floats] | None = None) -> Self:
        """Learn from rows (n, features), finite, and labels (n,) of 0 and 1; calibrate on the `newest` slice."""
        self.booster_ = HistGradientBoostingClassifier(
            max_iter=self.max_iter,
            max_depth=self.max_depth,
            learning_rate=self.learning_rate,
            min_samples_leaf=max(5, min(40, len(rows) // 50)),
            l2_regularization=1.0,
            early_stopping=False,
            random_state=self.seed,
        ).fit(rows, labels)
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = rows.shape[1]
        self.trees_ = trees_of(self.booster_)
        self.knots_ = np.array([[0.0, 1.0], [0.0, 1.0]])
        if newest is not None:
            self.knots_ = _calibrated(expit(self.trees_.explain(newest[0])[0]), newest[1])
        return self

    def predict_proba(self, rows: Floats) -> Floats:
        """Calibrated probabilities (n, 2)."""
        bought = np.interp(expit(self.trees_.explain(rows)[0]), *self.knots_)
        return np.column_stack([1 - bought, bought])

    def predict(self, rows: Floats) -> Floats:
        """1 where buying is likelier than not."""
        return (self.predict_proba(rows)[:, 1] > 0.5).astype(np.int64)

    def served(self, features: tuple[str, ...]) -> Model:
        """What serving needs, in numbers only."""
        return Model(features=features, trees=self.trees_, knots=self.knots_)


def expit(log_odds: Floats) -> Floats:
    """Log-odds as probability."""
    return 1 / (1 + np.exp(-log_odds))


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


def _calibrated(raw: Floats, labels: Floats) -> Floats:
    bought = int(labels.sum())
    rarer = min(bought, len(labels) - bought)
    if len(labels) < LEAST_TO_CALIBRATE[0] or rarer < LEAST_TO_CALIBRATE[1]:
        return np.array([[0.0, 1.0], [0.0, 1.0]])
    # Never quite 0 or 1: nobody is known that well from so few.
    edge = 1 / (len(labels) + 2)
    isotonic = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(raw, labels)
    return np.array([isotonic.X_thresholds_, isotonic.y_thresholds_])
