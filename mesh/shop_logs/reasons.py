"""Reasons: what is wrong with rows of a frame, counted, with the places of the first."""

import polars as pl

from mesh.shop_logs.account import Reason

EXAMPLES = 3


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
