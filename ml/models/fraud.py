"""The fraud model as the document that the fraud check scores by: the same trees, as plain numbers."""

from datetime import datetime

import numpy as np

from mesh.fraud_model import FraudModel, FraudTree
from ml.models.propensity_serving import Model
from ml.models.trees import Trees

KIND = "fraud"


def document(model: Model, *, version: str, learnt_until: datetime) -> FraudModel:
    """A model as a document. Its scores are those of `Model.score`, to rounding."""
    return FraudModel(
        version=version,
        features=model.features,
        baseline=model.trees.baseline,
        trees=tuple(_tree(model.trees, number) for number in range(len(model.trees.value))),
        knots=tuple(model.knots[0].tolist()),
        levels=tuple(model.knots[1].tolist()),
        learnt_until=learnt_until,
    )


def _tree(trees: Trees, number: int) -> FraudTree:
    """One tree; a node that sends everything left has no threshold."""
    threshold, unknown_left = trees.threshold[number], trees.unknown_left[number]
    padded = np.isposinf(threshold) & unknown_left
    return FraudTree(
        feature=tuple(trees.feature[number].tolist()),
        threshold=tuple(
            None if pad else max(-BEYOND, min(BEYOND, one))
            for one, pad in zip(threshold.tolist(), padded.tolist(), strict=True)
        ),
        unknown_left=tuple(unknown_left.tolist()),
        value=tuple(trees.value[number].tolist()),
    )


BEYOND = 1e308
"""Stands for an infinite threshold, which separates what is known from what is not: JSON has no infinities."""
