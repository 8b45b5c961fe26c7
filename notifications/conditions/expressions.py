"""Expressions: a tree as one polars expression over a frame of facts, for rehearsals and history."""

from collections.abc import Iterable
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

from notifications.conditions.amounts import minor_amounts
from notifications.conditions.closures import Facts
from notifications.conditions.fields import FIELDS
from notifications.conditions.operators import KNOWN, Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not

if TYPE_CHECKING:
    import polars as pl


def schema() -> "dict[str, pl.DataType | type[pl.DataType]]":
    """The column of every field. Money is a struct of `amount` (minor units) and `currency`; null: not known."""
    import polars as pl  # noqa: PLC0415  heavy, and no live decision needs it

    kinds = {
        Type.MONEY: pl.Struct({"amount": pl.Int64, "currency": pl.String}),
        Type.NUMBER: pl.Float64,
        Type.TEXT: pl.String,
        Type.TEXTS: pl.List(pl.String),
        Type.YES_NO: pl.Boolean,
    }
    return {name: kinds[field.type] for name, field in FIELDS.items()}


def frame_of(rows: Iterable[Facts]) -> "pl.DataFrame":
    """The facts of many carts, one row each, with every column of `schema`."""
    import polars as pl  # noqa: PLC0415  heavy, and no live decision needs it

    columns: dict[str, list[object]] = {name: [] for name in FIELDS}
    for row in rows:
        for name, field in FIELDS.items():
            seen = row.get(name)
            if seen is not None and field.type is Type.MONEY:
                seen = {"amount": seen.amount, "currency": seen.currency}
            columns[name].append(list(seen) if isinstance(seen, tuple) else seen)
    return pl.DataFrame(columns, schema=schema())


def audience_expression(tree: Condition) -> "pl.Expr":
    """Whether each row belongs to the audience, true or false, as `compile_audience` says of its facts."""
    return truth_expression(tree).fill_null(value=False)


def truth_expression(tree: Condition) -> "pl.Expr":
    """The truth of a tree for each row; null is unknown. `&`, `|` and `~` of polars are Kleene's."""
    match tree:
        case Comparison():
            return _comparison(tree)
        case Not(of=inner):
            return ~truth_expression(inner)
        case AllOf(of=many):
            return reduce(and_, map(truth_expression, many))
        case AnyOf(of=many):
            return reduce(or_, map(truth_expression, many))


def _comparison(one: Comparison) -> "pl.Expr":
    import polars as pl  # noqa: PLC0415  heavy, and no live decision needs it

    field, column = FIELDS[one.field], pl.col(one.field)
    if one.operator in KNOWN:
        return column.is_not_null() if one.operator == "known" else column.is_null()
    if field.type is Type.YES_NO:
        return column if one.operator == "yes" else ~column
    if field.type is Type.NUMBER:
        return _ordered(column, one.operator, pl.lit(one.value, dtype=pl.Float64))
    texts = one.value if isinstance(one.value, tuple) else ()
    if field.type is Type.MONEY:
        amount, currency = column.struct.field("amount"), column.struct.field("currency")
        least = currency.replace_strict(minor_amounts(texts), default=None, return_dtype=pl.Int64)
        return _ordered(amount, one.operator, least)
    wanted = pl.Series(texts, dtype=pl.String).implode()
    if field.type is Type.TEXT:
        found = column.is_in(wanted)
        return found if one.operator == "one of" else ~found
    shared = column.list.set_intersection(pl.lit(list(texts), dtype=pl.List(pl.String))).list.len() > 0
    return shared if one.operator == "including one of" else ~shared


def _ordered(seen: "pl.Expr", operator: str, wanted: "pl.Expr") -> "pl.Expr":
    match operator:
        case "at least":
            return seen >= wanted
        case "less than":
            return seen < wanted
        case "more than":
            return seen > wanted
        case _:
            return seen <= wanted
