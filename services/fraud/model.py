"""Model: how likely an order is fraud, by the trees of a document, one order at a time, and which features say so."""

from bisect import bisect_right
from collections.abc import Mapping
from math import exp, nan

from mesh.events.fraud import FraudModelScore
from mesh.fraud_model import FraudModel, FraudTree
from services.fraud.features import described

DRIVERS = 3


class Trees:
    """A document, ready to score. Raises ValueError for one whose numbers make no model."""

    def __init__(self, document: FraudModel) -> None:
        _check(document)
        self.document = document

    def score(self, features: Mapping[str, float]) -> FraudModelScore:
        """The probability that an order is fraud, and the features that raise it, strongest first."""
        probability, shares = self.explain(features)
        strongest = sorted((name for name, share in shares.items() if share > 0), key=lambda name: -shares[name])
        return FraudModelScore(
            version=self.document.version,
            probability=round(probability, 6),
            drivers=tuple(described(name, features) for name in strongest[:DRIVERS]),
        )

    def explain(self, features: Mapping[str, float]) -> tuple[float, dict[str, float]]:
        """The calibrated probability, and what each feature did to it in log-odds before calibration.

        Path attribution (Saabas): each split on the way gets the change of the mean outcome that it made.
        """
        row = [features.get(name, nan) for name in self.document.features]
        shares = [0.0] * len(row)
        raw = self.document.baseline + sum(_walk(tree, row, shares) for tree in self.document.trees)
        probability = 1 / (1 + exp(-raw)) if raw > -700 else 0.0
        return self._calibrated(probability), dict(zip(self.document.features, shares, strict=True))

    def _calibrated(self, probability: float) -> float:
        knots, levels = self.document.knots, self.document.levels
        at = bisect_right(knots, probability)
        if at == 0 or at == len(knots):
            return levels[0] if at == 0 else levels[-1]
        left, right = knots[at - 1], knots[at]
        return levels[at - 1] + (levels[at] - levels[at - 1]) * (probability - left) / (right - left)


def _walk(tree: FraudTree, row: list[float], shares: list[float]) -> float:
    """The value of the leaf in which a row ends. Adds what each split did to the share of its feature."""
    place, inner, reached = 0, len(tree.threshold), tree.value[0]
    while place < inner:
        threshold = tree.threshold[place]
        if threshold is None:
            break
        feature = tree.feature[place]
        known = row[feature]
        left = known <= threshold if known == known else tree.unknown_left[place]  # noqa: PLR0124  NaN: unknown
        place = 2 * place + (1 if left else 2)
        value = tree.value[place]
        shares[feature] += value - reached
        reached = value
    return reached


def _check(document: FraudModel) -> None:
    for tree in document.trees:
        inner = len(tree.threshold)
        if not len(tree.feature) == len(tree.unknown_left) == inner or len(tree.value) != 2 * inner + 1:
            raise ValueError("a tree's arrays do not fit together")
        if (inner + 1) & inner or any(not 0 <= one < len(document.features) for one in tree.feature):
            raise ValueError("a tree is not complete, or asks for a feature that there is not")
    if (
        not document.knots
        or len(document.knots) != len(document.levels)
        or list(document.knots) != sorted(document.knots)
    ):
        raise ValueError("the calibration is no line")
