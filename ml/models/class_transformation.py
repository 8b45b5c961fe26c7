"""Class transformation: one model of "responded if treated, did not if not" (Jaskowski and Jaroszewicz, ICML 2012)."""

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator

from ml.models.basis_expansion import Floats, fitted
from ml.models.effect import Effect
from ml.models.logit import logit


class ClassTransformation(BaseEstimator):
    """Ridge logistic regression of the transformed label Z; uplift = 2 P(Z = 1) - 1. After `fit`: `effect_`."""

    def __init__(self, *, freedom: float = 0.001) -> None:
        self.freedom = freedom

    def fit(self, rows: Floats, labels: Floats, treated: Floats, *, share: Floats) -> Self:
        """Learn from rows (n, features), labels and treated (n,) of 0 and 1; `share` (n,): chance of treatment.

        The transformation holds for equal chances; others are made equal by weights.
        """
        basis = fitted(rows)
        weights = np.where(treated == 1, 0.5 / share, 0.5 / (1 - share))
        same = (labels == treated).astype(np.float64)
        self.effect_ = Effect(
            basis=basis,
            scale="transformed",
            weights=logit(basis.rows(rows), same, freedom=self.freedom, weights=weights)[None, :],
        )
        return self

    def predict(self, rows: Floats) -> Floats:
        """Uplift (n,) in probability."""
        return self.effect_.of_rows(rows)
