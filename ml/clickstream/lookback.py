"""What features say off line: expressions over ordered rows that look back, never ahead.

Rows of one owner (a session or a visitor, as the feature's scope is) stand together in the order of time,
and `begins` marks the first row of each. So a look back is a running sum or a fill forward over the whole
column, cut at `begins`; that is five to twenty times faster than a window per owner. Beside the columns of a log
(`feature_table.COLUMNS`), whose `kind` may be a `moment` that is no event, rows have `nth` (how many events of
the owner so far), `trip` (a number per session), `arrives` (the first event of its session), `fresh` (a
product's first step in its session, of the first 256 there), `looks` (which view of its product in the
session this is, else 0) and `again` (a view of a product that the session put into the cart before).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
else:

    class _Later:
        """Polars from the moment it is used: it is needed off line only, and costs a serving process 25 MB."""

        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module("polars"), name)

    pl = _Later()

NEVER = float("nan")


def of(*kinds: str) -> "pl.Expr":
    """The row is a step of one of these kinds."""
    one, *others = (pl.col("kind") == kind for kind in kinds)
    return one.or_(*others) if others else one


def event() -> "pl.Expr":
    """The row is something that happened, not a moment that is asked for."""
    return pl.col("kind") != "moment"


def so_far(happened: "pl.Expr") -> "pl.Expr":
    """How often something was true (it may not be null), up to the row."""
    times = pl.when(happened).then(1).cum_count().cast(pl.Int64)
    return times - pl.when("begins").then(times - happened).forward_fill()


def total(amount: "pl.Expr") -> "pl.Expr":
    """The sum of whole numbers up to the row."""
    amount = amount.cast(pl.Int64)
    return amount.cum_sum() - pl.when("begins").then(amount.cum_sum() - amount).forward_fill()


def newest(value: "pl.Expr | str", where: "pl.Expr", *, otherwise: float) -> "pl.Expr":
    """The value at the newest row where it counts, `otherwise` before there is one. No such value may be null."""
    return pl.when(where).then(value).when("begins").then(otherwise).forward_fill()


def first(value: "pl.Expr | str", where: "pl.Expr", *, otherwise: float) -> "pl.Expr":
    """The value at the first row where it counts, `otherwise` before there is one."""
    return newest(value, where & (so_far(where) == 1), otherwise=otherwise)


def before(value: "pl.Expr", *, otherwise: float) -> "pl.Expr":
    """The value at the row before."""
    return pl.when("begins").then(otherwise).otherwise(value.shift(1))


def most(amount: "pl.Expr") -> "pl.Expr":
    """The largest whole number up to the row (0 <= amount < 2**31)."""
    owner = pl.col("begins").cast(pl.Int64).cum_sum() * 2**31
    return (owner + amount).cum_max() - owner


def since(time: "pl.Expr", *, otherwise: float = -1.0) -> "pl.Expr":
    """Seconds from a time that may be NEVER."""
    return (pl.col("at") - time).fill_nan(otherwise)


def cents(column: str) -> "pl.Expr":
    """Major units in hundredths, whole, so that sums over a long log lose nothing; like `steps.cents`."""
    return (pl.col(column) * 100 + 0.5).floor().cast(pl.Int64)
