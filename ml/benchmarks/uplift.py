"""Uplift on a randomised test: whether choosing recipients helps, how much, and what the product would do."""

import time
from pathlib import Path

import msgspec

from ml.models.offer_advice import Decision
from ml.training.recipient_choice import Effect, Interval

REPEATS = 3
RESPONSE = "response model"


class TrainingResult(msgspec.Struct, frozen=True, kw_only=True):
    """A learner: the normalised Qini of each repeat of cross-validation on train, and its figures on test."""

    name: str
    cross_validated: tuple[float, ...]
    between_folds: float
    qini: float
    qini_interval: Interval
    auuc: float
    uplift_at_30: float


class Uplift(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `decision`, `explanation` and `interval` come from train alone, as in the product."""

    train_rows: int
    test_rows: int
    train_effect: Effect
    test_effect: Effect
    columns: tuple[str, ...]
    left_out: tuple[str, ...]
    learners: tuple[TrainingResult, ...]
    chosen: str
    decision: Decision
    explanation: str
    interval: Interval
    level: float
    above_response: bool
    test_is_train: bool
    seconds: float

    def lines(self) -> list[str]:
        """For a terminal."""
        lines = [
            f"{self.train_rows:,} rows to learn from, {self.test_rows:,} to judge on",
            f"average effect {_effect(self.train_effect)}, on test {_effect(self.test_effect)}",
            f"from {', '.join(self.columns)}",
            *(f"left out: {one}" for one in self.left_out),
            f"{'normalised Qini':22} {'cross-validated on train':31} on test",
            f"{'':22} {'mean (sd of folds)  repeats':31} Qini   95% interval      AUUC   uplift@30",
        ]
        for one in self.learners:
            mean = sum(one.cross_validated) / len(one.cross_validated)
            repeats = " ".join(f"{value:.3f}" for value in one.cross_validated)
            lines.append(
                f"{one.name + (' *' if one.name == self.chosen else ''):22} {mean:.4f} ({one.between_folds:.3f}) "
                f"{repeats:17} {one.qini:.4f} {one.qini_interval.low:7.4f} to {one.qini_interval.high:.4f} "
                f"{one.auuc:.4f} {one.uplift_at_30:.4f}"
            )
        above = "above" if self.above_response else "not above"
        lines.append(f"* the best on train; {above} the response model in every repeat of cross-validation")
        if self.test_is_train:
            lines.append("test is train: its figures are those of the training rows; only cross-validation counts")
        lines.append(f"decision: {self.decision}, from train alone at {self.level:.1%}: {self.explanation}")
        return lines


def evaluate(
    *,
    train: Path,
    test: Path,
    treatment: str,
    treated: str,
    control: str,
    outcome: str,
    exclude: tuple[str, ...] = (),
    seed: int = 7,
) -> Uplift:
    """Learn on `train`, decide from it alone, and measure on `test`. BadFile for files that cannot be used.

    Every column but treatment, outcome, `exclude`, identifiers and those measured after treatment is used.
    """
    import numpy as np  # noqa: PLC0415  heavy, for who measures

    from ml.benchmarks.randomised import Question, read  # noqa: PLC0415  saves start-up time
    from ml.models.response import ResponseModel  # noqa: PLC0415  saves start-up time
    from ml.training.recipient_choice import LEARNERS, average_effect, choose, cross_fit, ranked_interval  # noqa: PLC0415  saves start-up time

    began = time.perf_counter()
    question = Question(treatment=treatment, treated=treated, control=control, outcome=outcome, exclude=exclude)
    both = read(train, test, question, seed=seed)
    everyone = {**LEARNERS, RESPONSE: ResponseModel}
    fits = {name: cross_fit(learner, both.train, seed=seed, repeats=REPEATS) for name, learner in everyone.items()}
    choice = choose(both.train, {name: fits[name] for name in LEARNERS}, seed=seed)
    learners = []
    for name, learner in everyone.items():
        seen = both.train
        model = learner().fit(seen.rows, seen.labels, seen.treated, share=seen.share)
        ranked = both.test.ranked(model.predict(both.test.rows))
        learners.append(
            TrainingResult(
                name=name,
                cross_validated=fits[name].qini(),
                between_folds=float(np.nanstd(fits[name].folds())),
                qini=ranked.qini(),
                qini_interval=ranked_interval(ranked, seed=seed),
                auuc=ranked.auuc(),
                uplift_at_30=ranked.at(0.3),
            )
        )
    response = fits[RESPONSE].qini()
    return Uplift(
        train_rows=len(both.train),
        test_rows=len(both.test),
        train_effect=average_effect(both.train),
        test_effect=average_effect(both.test),
        columns=both.columns,
        left_out=both.left_out,
        learners=tuple(learners),
        chosen=choice.learner,
        decision=choice.decision,
        explanation=choice.explanation,
        interval=choice.interval,
        level=choice.level,
        above_response=all(mine > theirs for mine, theirs in zip(choice.qini[choice.learner], response, strict=True)),
        test_is_train=np.array_equal(both.train.rows, both.test.rows, equal_nan=True),
        seconds=time.perf_counter() - began,
    )


def _effect(effect: Effect) -> str:
    low, high = 100 * effect.interval.low, 100 * effect.interval.high
    return f"{100 * effect.average:+.2f} points ({low:+.2f} to {high:+.2f})"
