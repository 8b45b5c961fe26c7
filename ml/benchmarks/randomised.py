"""A randomised test as a file: who was treated, what came of it, and what may be known of people beforehand."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ml.benchmarks import BadFile
from ml.models.basis_expansion import Floats
from ml.training.recipient_choice import Trial

MOST_ROWS = 300_000
"""Rows that are used of either file; of more a sample is drawn, and reported."""
MOST_KINDS = 30
"""Kinds of a column of words that are distinguished; rarer ones are one kind."""
DEPENDS = 6.0
"""Standard errors by which a column of the treated differs from the controls' when it was made by the treatment."""
EXPECTED, LEAST = 15, 20
"""Responses that must be expected, and rows that must be there, before their absence or constancy is no accident."""


@dataclass(frozen=True)
class Layout:
    """A known data set, recognised by its columns; `never` are columns that come after treatment, or name people."""

    name: str
    columns: frozenset[str]
    never: frozenset[str]


LAYOUTS = (
    Layout(
        "Hillstrom",
        frozenset({"recency", "history", "womens", "mens", "segment", "visit", "conversion", "spend"}),
        frozenset({"visit", "conversion", "spend", "segment"}),
    ),
    Layout("Starbucks", frozenset({"ID", "Promotion", "purchase", "V1", "V7"}), frozenset({"ID"})),
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a file: columns, values, and columns that must not be used."""

    treatment: str
    treated: str
    control: str
    outcome: str
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Test:
    """Two halves of one test, and what was used and left out of them, as text."""

    train: Trial
    test: Trial
    columns: tuple[str, ...]
    left_out: tuple[str, ...]


def read(train: Path, test: Path, question: Question, *, seed: int = 7, most: int = MOST_ROWS) -> Test:
    """Both files; other arms' rows are ignored. BadFile says what is wrong and what to do."""
    learning, judging = _arms(train, question), _arms(test, question)
    names, left_out = _usable(learning, question)
    for path, frame in ((train, learning), (test, judging)):
        if len(frame) > most:
            left_out.append(f"rows of {path.name}: of {len(frame):,} a sample of {most:,} is used")
    learning, judging = (frame.sample(most, seed=seed) if len(frame) > most else frame for frame in (learning, judging))
    if lacking := [name for name in names if name not in judging.columns]:
        raise BadFile(
            f"{test} lacks {', '.join(lacking)}, which {train} has: give files of the same kind, or --exclude"
        )
    if not names:
        raise BadFile(f"{train}: nothing is known of people before they were treated ({'; '.join(left_out)})")
    kinds = {name: _kinds(learning[name]) for name in names if learning.schema[name] == pl.String}
    share = float(learning["_treated"].mean())
    return Test(
        train=_trial(learning, names, kinds, share),
        test=_trial(judging, names, kinds, share),
        columns=tuple(names),
        left_out=tuple(left_out),
    )


def _arms(path: Path, question: Question) -> pl.DataFrame:
    frame = _frame(path)
    for name in (question.treatment, question.outcome, *question.exclude):
        if name not in frame.columns:
            raise BadFile(f"{path} has no column {name!r}; it has {', '.join(frame.columns)}")
    treated, control = (
        _equals(frame[question.treatment], value, path) for value in (question.treated, question.control)
    )
    frame = frame.with_columns(_treated=treated.cast(pl.Int8)).filter(treated | control)
    for value, count in (
        (question.treated, frame["_treated"].sum()),
        (question.control, (1 - frame["_treated"]).sum()),
    ):
        if not count:
            raise BadFile(f"{path}: no row has {question.treatment} = {value!r}")
    label = _binary(frame[question.outcome], path)
    for side in (0, 1):
        responded = label.filter(frame["_treated"] == side)
        if responded.n_unique() < 2:
            what = "treated" if side else "controls"
            raise BadFile(f"{path}: every {question.outcome} of the {what} is {responded[0]}; nothing can be learnt")
    return frame.with_columns(_label=label)


def _frame(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_csv(path) if path.suffix.lower() == ".csv" else pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadFile(f"{path} cannot be read as Parquet or CSV: {error}") from error
    if frame.is_empty():
        raise BadFile(f"{path} has no rows")
    return frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))


def _equals(column: pl.Series, value: str, path: Path) -> pl.Series:
    if column.dtype == pl.Boolean:
        return (column == (value.lower() in {"true", "1", "yes"})).fill_null(value=False)
    if column.dtype.is_numeric():
        try:
            return (column == float(value)).fill_null(value=False)
        except ValueError:
            raise BadFile(f"{path}: {column.name} is a number, {value!r} is none") from None
    return (column.cast(pl.String) == value).fill_null(value=False)


def _binary(column: pl.Series, path: Path) -> pl.Series:
    values = column.cast(pl.Float64, strict=False)
    if values.is_null().any() or not values.is_in([0.0, 1.0]).all():
        raise BadFile(f"{path}: {column.name} must be 0 or 1 in every row; it is not known, or something else, in some")
    return values


def _usable(frame: pl.DataFrame, question: Question) -> tuple[list[str], list[str]]:
    """Columns that may be known of people beforehand, and what is left out and why."""
    names, left_out = [], []
    own = {question.treatment, question.outcome, "_treated", "_label"}
    known = {name: layout for layout in LAYOUTS if layout.columns <= set(frame.columns) for name in layout.never}
    for name in frame.columns:
        if name in own:
            continue
        if name in question.exclude:
            left_out.append(f"{name}: excluded")
        elif name in known:
            left_out.append(f"{name}: known of {known[name].name}, an identifier or measured after treatment")
        elif why := _unusable(frame[name], frame):
            left_out.append(f"{name}: {why}")
        else:
            names.append(name)
    return names, left_out


def _unusable(column: pl.Series, frame: pl.DataFrame) -> str | None:
    kind = column.dtype
    if not (kind.is_numeric() or kind.is_temporal() or kind in (pl.String, pl.Boolean)):
        return "neither numbers nor words"
    if not kind.is_float() and column.n_unique() == len(column) > LEAST:
        return "another value in every row"
    treated = frame["_treated"].to_numpy().astype(np.float64)
    label = frame["_label"].to_numpy()
    for part in _parts(column):
        if _implies(part != _mode(part), label):
            return "all but implied by the outcome"
        if _differs(part, treated):
            return "depends on the treatment, so it was measured after it"
    return None


def _parts(column: pl.Series) -> Iterator[Floats]:
    if column.dtype == pl.String:
        for kind in _kinds(column):
            yield (column == kind).fill_null(value=False).to_numpy().astype(np.float64)
    else:
        yield np.nan_to_num(_numbers(column), posinf=0.0, neginf=0.0)


def _implies(unusual: np.ndarray, label: Floats) -> bool:
    """Whether everybody with (or without) an unusual value responded, or nobody did where many should have."""
    for side in (unusual, ~unusual):
        count, rate = int(side.sum()), label.mean()
        responded = label[side].sum()
        if count >= LEAST and (
            (responded == 0 and count * rate >= EXPECTED) or (responded == count and count * (1 - rate) >= EXPECTED)
        ):
            return True
    return False


def _differs(part: Floats, treated: Floats) -> bool:
    sides = [part[treated == side] for side in (0, 1)]
    error = math.sqrt(sum(float(side.var()) / len(side) for side in sides))
    return error > 0 and abs(float(sides[1].mean() - sides[0].mean())) > DEPENDS * error


def _mode(part: Floats) -> float:
    values, counts = np.unique(part, return_counts=True)
    return float(values[counts.argmax()])


def _kinds(column: pl.Series) -> list[str]:
    counts = column.drop_nulls().value_counts(sort=True)
    return sorted(counts[column.name].head(MOST_KINDS).to_list())


def _numbers(column: pl.Series) -> Floats:
    if column.dtype.is_temporal():
        column = column.to_physical()
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def _trial(frame: pl.DataFrame, names: Sequence[str], kinds: dict[str, list[str]], share: float) -> Trial:
    columns = []
    for name in names:
        if name in kinds:
            values = frame[name].cast(pl.String)
            columns += [(values == kind).fill_null(value=False).to_numpy().astype(np.float64) for kind in kinds[name]]
        else:
            columns.append(_numbers(frame[name]))
    return Trial(
        rows=np.column_stack(columns),
        labels=frame["_label"].to_numpy().astype(np.float64),
        treated=frame["_treated"].to_numpy().astype(np.float64),
        share=np.full(len(frame), share),
    )
