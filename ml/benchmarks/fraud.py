"""How well fraud is separated from the rest by the estimator of the product: rare labels, no class weights."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np
import polars as pl

from ml.benchmarks import BadFile
from ml.benchmarks.examples import Examples, labels, numbers, read
from ml.training.metrics import Floats, measure

ALARMS = (0.001, 0.01)
CALLS = 200
OUTSIDE = 0.95
"""Share of test rows outside of what was learnt from, above which a column counts on and teaches nothing."""


class Fraud(msgspec.Struct, frozen=True, kw_only=True):
    """Figures on the test file. Recalls are the share of frauds among the likeliest 0.1 % and 1 % of rows.

    `call_*_us` are median microseconds of one call for 1 and for 64 rows, as it is served.
    """

    train_rows: int
    train_frauds: int
    rows: int
    frauds: int
    features: int
    left_out: tuple[str, ...]
    auc: float
    pr_auc: float
    brier: float
    ece: float
    recall_at_01_percent: float
    recall_at_1_percent: float
    call_1_us: float
    call_64_us: float

    def lines(self) -> list[str]:
        """For a terminal."""
        lines = [
            f"{self.features} features, learnt from {self.train_rows:,} rows with {self.train_frauds:,} frauds",
            f"judged on {self.rows:,} rows with {self.frauds:,} frauds",
            f"ROC-AUC {self.auc:.4f}   PR-AUC {self.pr_auc:.4f}   Brier {self.brier:.5f}   ECE {self.ece:.4f}",
            f"recall {self.recall_at_01_percent:.3f} at 0.1 % alarms, {self.recall_at_1_percent:.3f} at 1 %",
            f"a call takes {self.call_1_us:.0f} us for 1 row, {self.call_64_us:.0f} us for 64",
        ]
        if self.left_out:
            lines.append(f"left out: {', '.join(self.left_out)} (later rows lie beyond what was learnt from)")
        return lines


def evaluate(*, train: Path, test: Path, label: str) -> Fraud:
    """Learn from all numbers of one file, judge on the other. BadFile where that cannot be."""
    from ml.models.propensity import PropensityClassifier  # noqa: PLC0415  needs scikit-learn

    learnt, judged, left_out = examples(train, test, label)
    model = PropensityClassifier().fit(learnt.rows, learnt.labels, crossed=True)
    served = model.served(learnt.features)
    probabilities = served.score(judged.rows)
    figures = measure(judged.labels, probabilities)
    return Fraud(
        train_rows=len(learnt.labels),
        train_frauds=int(learnt.labels.sum()),
        rows=figures.rows,
        frauds=int(judged.labels.sum()),
        features=len(learnt.features),
        left_out=left_out,
        auc=figures.auc,
        pr_auc=figures.pr_auc,
        brier=figures.brier,
        ece=figures.ece,
        recall_at_01_percent=recall(judged.labels, probabilities, alarms=ALARMS[0]),
        recall_at_1_percent=recall(judged.labels, probabilities, alarms=ALARMS[1]),
        call_1_us=_call(served.score, judged.rows[:1]),
        call_64_us=_call(served.score, np.resize(judged.rows, (64, judged.rows.shape[1]))),
    )


def examples(train: Path, test: Path, label: str) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Rows of all numbers that both files have, to learn from and to judge on; and which columns were left out."""
    frames = [read(path, (label,)) for path in (train, test)]
    columns = [column for column in frames[0].columns if column != label]
    if lacking := [column for column in columns if column not in frames[1].columns]:
        raise BadFile(f"{test.name} has no column {', '.join(lacking)}, which {train.name} has")
    columns = [column for column in columns if frames[0][column].dtype.is_numeric() or frames[0][column].dtype == bool]
    if not columns:
        raise BadFile(f"{train.name} has no column of numbers beside {label}")
    inputs = [numbers(frame, columns, path).select(columns) for frame, path in zip(frames, (train, test), strict=True)]
    beyond = tuple(column for column in columns if _beyond(inputs[0][column], inputs[1][column]))
    used = tuple(column for column in columns if column not in beyond)
    examples = [
        Examples(features=used, rows=one.select(used).to_numpy(), labels=labels(frame, label, path))
        for one, frame, path in zip(inputs, frames, (train, test), strict=True)
    ]
    return examples[0], examples[1], beyond


def recall(labels: Floats, probabilities: Floats, *, alarms: float) -> float:
    """The share of all frauds that are among the likeliest `alarms` (a share) of rows; at least one row is."""
    most = max(1, round(alarms * len(labels)))
    border = np.partition(probabilities, -most)[-most]
    above, at = probabilities > border, probabilities == border
    found = labels[above].sum() + (most - above.sum()) * labels[at].mean()
    return float(found / labels.sum())


def _beyond(learnt: pl.Series, judged: pl.Series) -> bool:
    """Whether a column counts on, as clocks and numbers of rows do."""
    lowest, highest = learnt.min(), learnt.max()
    return bool(((judged < lowest) | (judged > highest)).mean() > OUTSIDE) if lowest is not None else True


def _call(score: Callable[[Floats], Floats], rows: Floats) -> float:
    rows = np.ascontiguousarray(rows)
    took = []
    for _ in range(CALLS):
        began = perf_counter()
        score(rows)
        took.append(perf_counter() - began)
    return float(np.median(took) * 1e6)
