"""Advice: what an offer would change for a cart, as offers by lot have shown; numpy only, so that it serves."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self, get_args

import numpy as np

from mesh.events.user import Advice, Arm
from ml.models.artifact import ArtifactRefused, Plain
from ml.models.basis_expansion import Floats
from ml.models.effect import Effect, sigmoid, sound

KIND = "uplift"
Decision = Literal["target", "all", "none"]
"""Choose recipients, or treat everyone alike, or nobody."""


@dataclass(frozen=True, kw_only=True)
class Adviser:
    """Probabilities of a purchase for each arm over `features` (in that order).

    `effect` is what an offer adds for each row, `unaided` (1, terms + 1) the log-odds without one over the
    same basis; `average` the probability without one for all alike; `depths` (arms,) in whole percent, rising,
    and `steps` (arms,) what each adds to the probability on average; `pooled` what any of them does.
    """

    version: str
    features: tuple[str, ...]
    decision: Decision
    explanation: str
    effect: Effect
    unaided: Floats
    average: float
    depths: Floats
    steps: Floats
    pooled: float

    def advise(self, rows: Floats) -> list[Advice]:
        """Advice for rows (n, features); NaN is what is not known. ValueError for rows of another width.

        Where choosing recipients helps each row has its own probabilities, otherwise all have the average's.
        """
        terms = self.effect.basis.rows(rows)
        if self.decision != "target":
            steps = self.steps if self.decision == "all" else np.zeros_like(self.steps)
            return [self._advice(self.average, (self.average + steps).tolist())] * len(rows)
        without = sigmoid(terms @ self.unaided[0, :-1] + self.unaided[0, -1])
        added = self.effect.of_terms(terms)[:, None] + (self.steps - self.pooled)
        bought = without[:, None] + added
        return [self._advice(alone, chances) for alone, chances in zip(without.tolist(), bought.tolist(), strict=True)]

    def _advice(self, unaided: float, chances: list[float]) -> Advice:
        arms = tuple(
            Arm(discount_percent=depth, purchase=round(min(max(chance, 0.0), 1.0), 6))
            for depth, chance in zip(self._percents, chances, strict=True)
        )
        return Advice(
            version=self.version,
            decision=self.decision,
            explanation=self.explanation,
            unaided=round(unaided, 6),
            arms=arms,
        )

    @cached_property
    def _percents(self) -> list[int]:
        return [int(depth) for depth in self.depths]

    def plain(self) -> Plain:
        """The adviser as an artifact holds it."""
        return Plain(
            kind=KIND,
            features=self.features,
            numbers={"average": self.average, "pooled": self.pooled},
            texts={
                "version": self.version,
                "decision": self.decision,
                "explanation": self.explanation,
                "scale": self.effect.scale,
            },
            arrays={"unaided": self.unaided, "depths": self.depths, "steps": self.steps, **self.effect.arrays()},
        )

    @classmethod
    def of(cls, plain: Plain) -> Self:
        """The adviser that was stored. ArtifactRefused when its numbers make none."""
        texts = {name: plain.texts.get(name, "") for name in ("version", "decision", "explanation", "scale")}
        if texts["decision"] not in get_args(Decision):
            raise ArtifactRefused(f"its decision is {texts['decision']!r}, not one of {', '.join(get_args(Decision))}")
        effect = Effect.of(plain.arrays, scale=texts["scale"], features=len(plain.features))
        depths, steps = plain.array("depths").astype(np.float64), plain.array("steps").astype(np.float64)
        whole = depths.ndim == 1 and np.array_equal(depths, np.unique(depths.round()))
        if not whole or steps.shape != depths.shape or not ((depths >= 0) & (depths <= 100)).all():
            raise ArtifactRefused("its discounts are no rising whole percents with an effect each")
        average, pooled = plain.number("average"), plain.number("pooled")
        if not (0 <= average <= 1 and abs(pooled) <= 1 and (np.abs(steps) <= 1).all()):
            raise ArtifactRefused("its averages are no probabilities")
        return cls(
            version=texts["version"],
            features=plain.features,
            decision=texts["decision"],  # type: ignore[arg-type]  checked above
            explanation=texts["explanation"],
            effect=effect,
            unaided=sound(plain.array("unaided"), effect.basis, rows=1),
            average=average,
            depths=depths,
            steps=steps,
            pooled=pooled,
        )
