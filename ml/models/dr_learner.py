"""DR-learner: a sparse linear model of doubly robust effects (Kennedy, Electronic Journal of Statistics, 2023)."""

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import Lasso, LassoCV, Ridge
from sklearn.model_selection import KFold

from ml.models.basis_expansion import Floats, fitted
from ml.models.effect import Effect, sigmoid
from ml.models.logit import logit

WEAKEST = 0.02
"""The smallest penalty tried, as a share of the one that leaves nothing."""
STEADY = 0.01
"""The ridge per row when what is left is fitted again: enough to share an effect among terms that say the same."""


class DRLearner(BaseEstimator):
    """Each row's effect, once with outcome models that never saw it, regressed on the basis with a lasso.

    The chances of treatment are known (logged), so the effects are unbiased whatever the outcome models say.
    The penalty is the largest whose error is within one standard error of the best in cross-validation:
    a difference between people must show itself clearly, or it is taken for none. What is left is fitted again
    almost without penalty (relaxed lasso, Meinshausen 2007), so that effects are not too small. After `fit`:
    `effect_`, `effects_` (n,) of the rows.
    """

    def __init__(self, *, freedom: float = 0.1, folds: int = 5, seed: int = 7) -> None:
        self.freedom = freedom
        self.folds = folds
        self.seed = seed

    def fit(self, rows: Floats, labels: Floats, treated: Floats, *, share: Floats) -> Self:
        """Learn from rows (n, features), labels and treated (n,) of 0 and 1; `share` (n,): chance of treatment."""
        basis = fitted(rows)
        terms = basis.rows(rows)
        self.effects_ = self._effects(terms, labels, treated, share)
        self.effect_ = Effect(basis=basis, scale="linear", weights=self._sparse(terms, self.effects_)[None, :])
        return self

    def predict(self, rows: Floats) -> Floats:
        """Uplift (n,) in probability."""
        return self.effect_.of_rows(rows)

    def _effects(self, terms: Floats, labels: Floats, treated: Floats, share: Floats) -> Floats:
        expected = np.zeros((2, len(labels)))
        for kept, left in KFold(self.folds, shuffle=True, random_state=self.seed).split(terms):
            for side in (0, 1):
                own = kept[treated[kept] == side]
                weights = logit(terms[own], labels[own], freedom=self.freedom)
                expected[side, left] = sigmoid(terms[left] @ weights[:-1] + weights[-1])
        weight = np.where(treated == 1, 1 / share, -1 / (1 - share))
        return expected[1] - expected[0] + weight * (labels - np.where(treated == 1, expected[1], expected[0]))

    def _sparse(self, terms: Floats, effects: Floats) -> Floats:
        constant = np.append(np.zeros(terms.shape[1]), effects.mean())
        if not terms.shape[1] or np.ptp(effects) < 1e-12:
            return constant
        folds = KFold(self.folds, shuffle=True, random_state=self.seed + 1)
        path = LassoCV(cv=folds, alphas=40, eps=WEAKEST, precompute=True).fit(terms, effects)
        best = int(path.mse_path_.mean(axis=1).argmin())
        worse = path.mse_path_ - path.mse_path_[best]
        error = worse.std(axis=1, ddof=1) / np.sqrt(self.folds)
        largest = int(np.flatnonzero(worse.mean(axis=1) <= error)[0])  # penalties fall along the path
        if largest == 0:
            return constant
        left = np.flatnonzero(Lasso(alpha=path.alphas_[largest], precompute=True).fit(terms, effects).coef_)
        found = Ridge(alpha=STEADY * len(terms)).fit(terms[:, left], effects)
        weights = np.zeros(terms.shape[1] + 1)
        weights[left], weights[-1] = found.coef_, found.intercept_
        return weights
