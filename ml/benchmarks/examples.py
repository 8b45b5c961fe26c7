"""Examples from a file: rows of numbers and labels, with readable errors for what is wrong with a file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ml.benchmarks import BadFile
from ml.models.trees import Floats


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows (n, features), NaN where nothing is known, and labels (n,) of 0 and 1.

    `groups` (n,) names what belongs together, `newest` (n,) says which rows are the newest, where that is known.
    """

    features: tuple[str, ...]
    rows: Floats
    labels: Floats
    groups: np.ndarray | None = None
    newest: np.ndarray | None = None


def read(path: Path, columns: Iterable[str] = ()) -> pl.DataFrame:
    """A Parquet file. BadFile unless it can be read, has rows and has these columns."""
    try:
        frame = pl.read_parquet(path)
    except FileNotFoundError:
        raise BadFile(f"there is no file {path}") from None
    except Exception as error:
        raise BadFile(f"{path.name} cannot be read as Parquet: {error}") from error
    if lacking := [column for column in columns if column not in frame.columns]:
        raise BadFile(f"{path.name} has no column {', '.join(lacking)}; it has {', '.join(frame.columns)}")
    if frame.is_empty():
        raise BadFile(f"{path.name} has no rows")
    return frame


def numbers(frame: pl.DataFrame, columns: Sequence[str], path: Path) -> pl.DataFrame:
    """The frame with these columns as floats; null stays null, which is how a file says that it does not know.

    BadFile for words, and for NaN and infinities: they say that a calculation went wrong before.
    """
    try:
        frame = frame.with_columns(pl.col(column).cast(pl.Float64) for column in columns)
    except pl.exceptions.PolarsError as error:
        raise BadFile(f"{path.name} holds something else than numbers: {error}") from error
    odd = {column: int((~frame[column].is_finite()).sum() or 0) for column in columns}
    if found := [f"{column} ({count:,} rows)" for column, count in odd.items() if count]:
        raise BadFile(f"{path.name} holds NaN or infinities in {', '.join(found)}; leave what is unknown null")
    return frame


def labels(frame: pl.DataFrame, column: str, path: Path) -> Floats:
    """The labels (n,). BadFile unless each is 0 or 1 (or false or true) and there are both."""
    try:
        found = frame[column].cast(pl.Float64).to_numpy()
    except pl.exceptions.PolarsError:
        found = np.array([np.nan])
    if not np.isin(found, (0.0, 1.0)).all():
        raise BadFile(f"{path.name}: the label {column} must be 0 or 1 in every row")
    if found.min() == found.max():
        raise BadFile(f"{path.name}: {column} is {found[0]:.0f} in all {len(found):,} rows; both labels are needed")
    return found
