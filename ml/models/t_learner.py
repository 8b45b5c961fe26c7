"""T-learner: one model of the treated, one of the controls, and their difference (Künzel et al., PNAS 2019)."""

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator

from ml.models.basis_expansion import Floats, fitted
from ml.models.effect import Effect
from ml.models.logit import logit


class TLearner(BaseEstimator):
    """Two ridge logistic regressions on one basis. After `fit`: `effect_`."""

    def __init__(self, *, freedom: float = 0.1) -> None:
        self.freedom = freedom

    def fit(self, rows: Floats, labels: Floats, treated: Floats, *, share: Floats) -> Self:  # noqa: ARG002
        """Learn from rows (n, features), labels and treated (n,) of 0 and 1.

        `share` (n,), the probability of treatment, is not needed: given the rows, each side stands for itself.
        """
        basis = fitted(rows)
        terms = basis.rows(rows)
        sides = [logit(terms[treated == side], labels[treated == side], freedom=self.freedom) for side in (0, 1)]
        self.effect_ = Effect(basis=basis, scale="two logits", weights=np.array(sides))
        return self

    def predict(self, rows: Floats) -> Floats:
        """Uplift (n,) in probability."""
        return self.effect_.of_rows(rows)
