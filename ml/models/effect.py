"""An effect: what a treatment adds to the probability of a purchase, from a basis; numpy only, so that it serves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ml.models.artifact import ArtifactRefused
from ml.models.basis_expansion import BasisExpansion, Floats

Scale = Literal["linear", "two logits", "transformed"]
WEIGHTS = {"linear": 1, "two logits": 2, "transformed": 1}


@dataclass(frozen=True, kw_only=True)
class Effect:
    """`weights` (k, terms + 1), the constant last. `scale` says what they mean.

    `linear`: the effect itself. `two logits`: log-odds without and with treatment. `transformed`: log-odds of
    "responded because treated, or did not because untreated" (class transformation).
    """

    basis: BasisExpansion
    scale: Scale
    weights: Floats

    def of_rows(self, rows: Floats) -> Floats:
        """Effects (n,) in probability, -1 to 1, of rows (n, features)."""
        return self.of_terms(self.basis.rows(rows))

    def of_terms(self, terms: Floats) -> Floats:
        """Effects (n,) of the basis' terms (n, terms)."""
        scores = terms @ self.weights[:, :-1].T + self.weights[:, -1]
        if self.scale == "linear":
            return np.clip(scores[:, 0], -1.0, 1.0)
        chances = sigmoid(scores)
        return chances[:, 1] - chances[:, 0] if self.scale == "two logits" else 2 * chances[:, 0] - 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, for an artifact; its scale is a word."""
        return {"effect": self.weights, **self.basis.arrays()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], *, scale: str, features: int) -> Self:
        """An effect from arrays by name. ArtifactRefused when they make none."""
        basis = BasisExpansion.of(arrays, features=features)
        weights = arrays.get("effect")
        if scale not in WEIGHTS or weights is None:
            raise ArtifactRefused(f"there is no effect on the scale {scale!r}")
        return cls(basis=basis, scale=scale, weights=sound(weights, basis, rows=WEIGHTS[scale]))  # type: ignore[arg-type]


def sound(weights: NDArray[Any], basis: BasisExpansion, *, rows: int) -> Floats:
    """Weights (rows, terms + 1) that are finite and fit a basis; ArtifactRefused otherwise."""
    if weights.shape != (rows, basis.terms + 1) or not np.isfinite(weights).all():
        raise ArtifactRefused("its weights do not fit its basis")
    return weights.astype(np.float64)


def sigmoid(log_odds: Floats) -> Floats:
    """Log-odds as probability."""
    return 1 / (1 + np.exp(-np.clip(log_odds, -40, 40)))
