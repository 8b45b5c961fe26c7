"""Account: how many rows of a log were read, used and left out, and why."""

from dataclasses import dataclass

import polars as pl

EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why `count` rows are concerned, and where the first of them stand."""

    why: str
    count: int
    places: tuple[str, ...]

    def __str__(self) -> str:
        """`2: the time cannot be read (line 3: 'soon', line 9: '-')`."""
        more = ", ..." if self.count > len(self.places) else ""
        return f"{self.count}: {self.why} ({', '.join(self.places)}{more})"


@dataclass(frozen=True, kw_only=True)
class Account:
    """What became of the rows of a file; `notes` are about rows that were used."""

    rows: int
    left_out: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def used(self) -> int:
        """The rows that were not left out."""
        return self.rows - sum(reason.count for reason in self.left_out)

    def lines(self) -> list[str]:
        """The account in words, one line for each thing."""
        first = f"{self.rows} rows read, {self.used} used, {self.rows - self.used} left out"
        return [first, *(f"left out {reason}" for reason in self.left_out), *self.notes]


def reasons(marked: pl.LazyFrame, column: str, unit: str) -> tuple[Reason, ...]:
    """The reasons in `column` of a frame with `line` and `value`, by their first line; null is none."""
    found = (
        marked.filter(pl.col(column).is_not_null())
        .group_by(column)
        .agg(
            count=pl.len(),
            lines=pl.col("line").sort().head(EXAMPLES),
            values=pl.col("value").sort_by(pl.col("line")).head(EXAMPLES),
        )
        .collect()
        .sort(pl.col("lines").list.first())
    )
    return tuple(
        Reason(why=why, count=count, places=tuple(_place(unit, *one) for one in zip(lines, values, strict=True)))
        for why, count, lines, values in found.iter_rows()
    )


def _place(unit: str, line: int, value: str | None) -> str:
    return f"{unit} {line}" if value is None else f"{unit} {line}: {value[:40]!r}"
