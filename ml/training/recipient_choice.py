"""Choosing: whether it helps to choose who is treated, and if not, whether to treat all or none."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import msgspec
import numpy as np

from ml.models.basis_expansion import Floats
from ml.models.class_transformation import ClassTransformation
from ml.models.dr_learner import DRLearner
from ml.models.offer_advice import Decision
from ml.models.t_learner import TLearner
from ml.training.qini import Ints, Ranked

FOLDS, DRAWS, LEVEL = 5, 400, 0.95
NORMAL = 1.959964
"""Standard errors of a 95% interval."""


class Learner(Protocol):
    """An estimator of uplift."""

    def fit(self, rows: Floats, labels: Floats, treated: Floats, *, share: Floats) -> Self:
        """Learn from people (n,) of whom `share` is the chance of having been treated."""
        ...

    def predict(self, rows: Floats) -> Floats:
        """Whatever people should be chosen by, the highest first."""
        ...


LEARNERS: dict[str, Callable[[], Learner]] = {
    "T-learner": TLearner,
    "class transformation": ClassTransformation,
    "DR-learner": DRLearner,
}
"""The champions, which are plain, and the challenger."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """People of a randomised test: rows (n, features), labels and treated (n,) 0 or 1, share (n,) of treatment."""

    rows: Floats
    labels: Floats
    treated: Floats
    share: Floats

    def __len__(self) -> int:
        """How many people."""
        return len(self.labels)

    def of(self, which: Ints) -> "Trial":
        """Some of the people."""
        return Trial(
            rows=self.rows[which], labels=self.labels[which], treated=self.treated[which], share=self.share[which]
        )

    def ranked(self, uplift: Floats) -> Ranked:
        """The people in order of uplift (n,), weighted where their chances of treatment were not the same."""
        same = np.ptp(self.share) == 0
        weights = None if same else 0.5 / np.where(self.treated == 1, self.share, 1 - self.share)
        return Ranked.of(self.labels, uplift, self.treated, weights=weights)


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """From `low` to `high`."""

    low: float
    high: float


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """The average effect of treatment on the share of responses, with its 95% interval."""

    average: float
    interval: Interval
    untreated: float
    treated: float


@dataclass(frozen=True)
class CrossFit:
    """People ordered by models that never saw them: in each repeat each fold, with whom it holds."""

    people: int
    repeats: tuple[tuple[tuple[Ints, Ranked], ...], ...]

    def qini(self) -> tuple[float, ...]:
        """The mean normalised Qini of each repeat's folds."""
        return tuple(_mean([ranked.qini() for _, ranked in folds]) for folds in self.repeats)

    def folds(self) -> tuple[float, ...]:
        """The normalised Qini of every fold of every repeat."""
        return tuple(ranked.qini() for folds in self.repeats for _, ranked in folds)

    def interval(self, *, seed: int, level: float = LEVEL) -> Interval:
        """Bootstrap interval of the mean over all folds: people are drawn again, their order stays."""

        def drawn(counts: Floats) -> float:
            return _mean([ranked.qini(counts[who]) for folds in self.repeats for who, ranked in folds])

        return _bootstrap(drawn, self.people, seed=seed, level=level)


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What to do and why. `qini` of each learner in each repeat; `interval` is that of `learner`, the best.

    `level` is the interval's: wider than 95%, because the best of several was chosen (Bonferroni).
    """

    decision: Decision
    explanation: str
    learner: str
    qini: dict[str, tuple[float, ...]]
    interval: Interval
    level: float
    effect: Effect


def cross_fit(learner: Callable[[], Learner], trial: Trial, *, seed: int, repeats: int = 1) -> CrossFit:
    """Order everyone by models of the other folds; folds are alike in treatment and response."""
    found = []
    for repeat in range(repeats):
        folds = []
        for kept, left in _folds(trial, seed + repeat):
            seen, held = trial.of(kept), trial.of(left)
            model = learner().fit(seen.rows, seen.labels, seen.treated, share=seen.share)
            folds.append((left, held.ranked(model.predict(held.rows))))
        found.append(tuple(folds))
    return CrossFit(len(trial), tuple(found))


def choose(trial: Trial, fits: Mapping[str, CrossFit], *, seed: int) -> Choice:
    """Target only if the best learner's Qini interval lies above zero; else all or none by the average effect."""
    qini = {name: fit.qini() for name, fit in fits.items()}
    learner = max(qini, key=lambda name: _mean(qini[name]))
    level = 1 - (1 - LEVEL) / len(fits)
    interval = fits[learner].interval(seed=seed, level=level)
    effect = average_effect(trial)
    points = f"{_points(effect.average)} points, {_points(effect.interval.low)} to {_points(effect.interval.high)}"
    figures = f"Qini {_mean(qini[learner]):.3f}, {interval.low:.3f} to {interval.high:.3f}"
    decision: Decision
    if interval.low > 0:
        decision, explanation = (
            "target",
            f"choosing recipients helps ({figures}): sending to those whom it changes most",
        )
    elif effect.interval.low > 0:
        decision = "all"
        explanation = (
            f"no evidence that choosing recipients helps ({figures}); on average it does ({points}): sending to all"
        )
    else:
        decision = "none"
        explanation = (
            f"no evidence that choosing recipients helps ({figures}), nor that sending does anything on average "
            f"({points}): sending to nobody"
        )
    return Choice(
        decision=decision,
        explanation=explanation,
        learner=learner,
        qini=qini,
        interval=interval,
        level=level,
        effect=effect,
    )


def average_effect(trial: Trial) -> Effect:
    """Difference of the responses of treated and controls, each weighted by the inverse of its chance (Hájek)."""
    means, variance = [], 0.0
    for side, chance in ((0, 1 - trial.share), (1, trial.share)):
        own = trial.treated == side
        weights, labels = 1 / chance[own], trial.labels[own]
        mean = float(weights @ labels / weights.sum())
        variance += float((weights**2 @ (labels - mean) ** 2) / weights.sum() ** 2)
        means.append(mean)
    average, error = means[1] - means[0], NORMAL * variance**0.5
    return Effect(
        average=average,
        interval=Interval(low=average - error, high=average + error),
        untreated=means[0],
        treated=means[1],
    )


def ranked_interval(ranked: Ranked, *, seed: int) -> Interval:
    """95% bootstrap interval of the normalised Qini of one order of people."""
    return _bootstrap(ranked.qini, len(ranked.labels), seed=seed, level=LEVEL)


def _bootstrap(measure: Callable[[Floats], float], people: int, *, seed: int, level: float) -> Interval:
    """Percentile interval (Efron) of a measure of how often each of the people was drawn."""
    rng = np.random.default_rng(seed)
    drawn = [
        measure(np.bincount(rng.integers(0, people, people), minlength=people).astype(np.float64)) for _ in range(DRAWS)
    ]
    tail = (1 - level) / 2
    low, high = np.nanquantile(np.nan_to_num(drawn), [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))


def _folds(trial: Trial, seed: int) -> Iterator[tuple[Ints, Ints]]:
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415  not for serving

    alike = 2 * trial.treated + trial.labels
    yield from StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(trial.rows, alike)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]  # noqa: PLR0124  NaN: nobody responded in a fold
    return sum(known) / len(known) if known else 0.0


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
