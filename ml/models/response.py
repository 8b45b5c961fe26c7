"""The response model: who buys when treated. It does not show why, and is what uplift must beat."""

from typing import Self

from sklearn.base import BaseEstimator

from ml.models.basis_expansion import Floats, fitted
from ml.models.effect import sigmoid
from ml.models.logit import logit


class ResponseModel(BaseEstimator):
    """Ridge logistic regression over the treated alone. After `fit`: `basis_`, `weights_`."""

    def __init__(self, *, freedom: float = 0.1) -> None:
        self.freedom = freedom

    def fit(self, rows: Floats, labels: Floats, treated: Floats, *, share: Floats) -> Self:  # noqa: ARG002
        """Learn from rows (n, features), labels and treated (n,) of 0 and 1; `share` is of no use here."""
        self.basis_ = fitted(rows)
        terms = self.basis_.rows(rows[treated == 1])
        self.weights_ = logit(terms, labels[treated == 1], freedom=self.freedom)
        return self

    def predict(self, rows: Floats) -> Floats:
        """Probability (n,) of a response when treated."""
        return sigmoid(self.basis_.rows(rows) @ self.weights_[:-1] + self.weights_[-1])
