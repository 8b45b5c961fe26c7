"""Logistic regression with a ridge, which has an answer also where every label is the same."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from ml.models.basis_expansion import Floats


def logit(terms: Floats, labels: Floats, *, freedom: float, weights: Floats | None = None) -> Floats:
    """Weights (terms + 1,), the constant last, of labels (n,) of 0 and 1 over terms (n, terms), standardised.

    `freedom` is the inverse of the ridge. With one label only, or no terms: the smoothed share as a constant.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    share = (weights @ labels + 0.5) / (weights.sum() + 1)
    if not terms.shape[1] or not 0 < labels.sum() < len(labels):
        return np.append(np.zeros(terms.shape[1]), np.log(share / (1 - share)))
    fitted = LogisticRegression(C=freedom, max_iter=500).fit(terms, labels, sample_weight=weights)
    return np.append(fitted.coef_[0], fitted.intercept_[0])
