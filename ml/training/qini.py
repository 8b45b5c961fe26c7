"""How well an order of people by uplift finds those whom a treatment changes: Qini, AUUC and uplift@k.

Exactly as scikit-uplift 0.5.1 defines them (`qini_auc_score` with negative effects, `uplift_auc_score`,
`uplift_at_k` with strategy `overall`), after Radcliffe (Direct Marketing Analytics Journal, 2007) and
Devriendt, Guns and Verbeke (arXiv 2002.05897). People of equal uplift are one step of the curve.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class CumulativeCounts:
    """Treated and controls, and responders among each, counted from the top to each step of a curve (k,)."""

    treated: Floats
    controls: Floats
    treated_responders: Floats
    control_responders: Floats

    @classmethod
    def of(cls, cells: Floats) -> Self:
        """From cells (k, 4) in order: treated, controls, treated responders, control responders."""
        return cls(*np.cumsum(cells, axis=0).T)

    def qini(self) -> Floats:
        """More responders than the controls let expect, at each step."""
        ratio = _over(self.treated, self.controls)
        return self.treated_responders - self.control_responders * ratio

    def uplift(self) -> Floats:
        """Difference of the response rates, times people, at each step."""
        rates = _over(self.treated_responders, self.treated) - _over(self.control_responders, self.controls)
        return rates * (self.treated + self.controls)

    def area(self, gain: Floats) -> float:
        """The area between a gain and the straight line to its end."""
        people = np.concatenate([[0.0], self.treated + self.controls])
        gain = np.concatenate([[0.0], gain])
        return float(np.trapezoid(gain, people) - people[-1] * gain[-1] / 2)


@dataclass(frozen=True)
class Ranked:
    """People in `order` of uplift, the highest first. `steps` are the last places of equal uplift.

    `weights` count people more or less than once; None: each once.
    """

    order: Ints
    labels: Floats
    treated: Floats
    steps: Ints
    weights: Floats | None = None

    @classmethod
    def of(cls, labels: Floats, uplift: Floats, treated: Floats, *, weights: Floats | None = None) -> Self:
        """Order people by uplift (n,); labels and treated (n,) are 0 or 1.

        `weights` (n,), the inverse of the chance of what was done, are for chances that differ between people.
        """
        order = np.argsort(uplift, kind="stable")[::-1]
        uplift = np.asarray(uplift, dtype=np.float64)[order]
        steps = np.append(np.flatnonzero(np.diff(uplift)), len(uplift) - 1)
        labels, treated = (np.asarray(one, dtype=np.float64)[order] for one in (labels, treated))
        return cls(order, labels, treated, steps, None if weights is None else weights[order])

    def cumulative_counts(self, counts: Floats | None = None) -> tuple[CumulativeCounts, Floats]:
        """The counts up to each step, and the totals (label, treated) as (2, 2); `counts` (n,) repeats people."""
        counts = np.ones(len(self.labels)) if counts is None else counts[self.order]
        counts = counts if self.weights is None else counts * self.weights
        of_treated, of_controls = counts * self.treated, counts * (1 - self.treated)
        cells = (of_treated, of_controls, of_treated * self.labels, of_controls * self.labels)
        reached = CumulativeCounts(*(np.cumsum(cell)[self.steps] for cell in cells))
        treated, controls, treated_responders, control_responders = (
            float(column[-1])
            for column in (reached.treated, reached.controls, reached.treated_responders, reached.control_responders)
        )
        totals = np.array(
            [
                [controls - control_responders, treated - treated_responders],
                [control_responders, treated_responders],
            ]
        )
        return reached, totals

    def qini(self, counts: Floats | None = None) -> float:
        """The normalised area under the Qini curve; NaN where nobody responded."""
        reached, totals = self.cumulative_counts(counts)
        best = _perfect(totals, [[(1, 1)], [(0, 0), (0, 1)], [(1, 0)]])
        return _share(reached.area(reached.qini()), best.area(best.qini()))

    def auuc(self, counts: Floats | None = None) -> float:
        """The normalised area under the uplift curve; NaN where nobody responded."""
        reached, totals = self.cumulative_counts(counts)
        responders_first = totals[1, 0] > totals[0, 1]
        rest = [(1, 0), (0, 1)] if responders_first else [(0, 1), (1, 0)]
        best = _perfect(totals, [[(1, 1)], [(0, 0)], *([one] for one in rest)])
        return _share(reached.area(reached.uplift()), best.area(best.uplift()))

    def at(self, share: float) -> float:
        """Difference of the response rates among the top `share` (0 to 1); NaN where one side is empty."""
        top = int(len(self.labels) * share)
        labels, treated = self.labels[:top], self.treated[:top] == 1
        if treated.all() or not treated.any():
            return float("nan")
        return float(labels[treated].mean() - labels[~treated].mean())


def qini_auc(labels: Floats, uplift: Floats, treated: Floats) -> float:
    """`qini_auc_score` of scikit-uplift; all (n,)."""
    return Ranked.of(labels, uplift, treated).qini()


def uplift_auc(labels: Floats, uplift: Floats, treated: Floats) -> float:
    """`uplift_auc_score` of scikit-uplift; all (n,)."""
    return Ranked.of(labels, uplift, treated).auuc()


def uplift_at(labels: Floats, uplift: Floats, treated: Floats, *, share: float = 0.3) -> float:
    """`uplift_at_k` of scikit-uplift with strategy `overall`; all (n,)."""
    return Ranked.of(labels, uplift, treated).at(share)


def _perfect(totals: Floats, steps: list[list[tuple[int, int]]]) -> CumulativeCounts:
    """The counts of who knows each (label, treated) beforehand; steps without people are none."""
    cells = [
        [
            sum(totals[label, treated] for label, treated in step if treated),
            sum(totals[label, treated] for label, treated in step if not treated),
            sum(totals[label, treated] for label, treated in step if treated and label),
            sum(totals[label, treated] for label, treated in step if not treated and label),
        ]
        for step in steps
    ]
    return CumulativeCounts.of(np.array([cell for cell in cells if cell[0] + cell[1]]))


def _share(area: float, best: float) -> float:
    return area / best if best else float("nan")


def _over(upper: Floats, lower: Floats) -> Floats:
    return np.divide(upper, lower, out=np.zeros_like(upper), where=lower != 0)
