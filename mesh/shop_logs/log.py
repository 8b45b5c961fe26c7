"""A shop's log: its rows under our names and types, each either used or left out for a reason."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from mesh.shop_logs import prices, times
from mesh.shop_logs.account import Account
from mesh.shop_logs.columns import COLUMNS, EVENT_TYPES, matched
from mesh.shop_logs.delimited import LINE, MISFIT
from mesh.shop_logs.reasons import reasons
from mesh.shop_logs.source import Source, source
from mesh.shop_logs.style import Style, UnreadableLog

NOTHING = ("", "null", "none", "nan", "na", "n/a", "<na>", "\\n")
"""What tools write where there is no value, in lower case."""
DOUBLED = "a purchase that stands in the file already: same time, shopper, session, product and price"


@dataclass(frozen=True, kw_only=True)
class ShopLog:
    """The rows that are used, in the file's order: `line`, and `COLUMNS` as far as the file has them, else null.

    `event_time` is UTC, `event_type` one of those asked for, `price` in major units, a number or its text;
    everything else is text.
    """

    frame: pl.LazyFrame
    account: Account


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a reader needs: the `columns` of the file, the `kinds` of rows, and of each row one field of each tuple."""

    columns: tuple[str, ...]
    kinds: tuple[str, ...] = tuple(EVENT_TYPES)
    fields: tuple[tuple[str, ...], ...] = (("product_id",), ("user_id",))


@contextmanager
def opened(path: Path, demand: Demand, *, style: Style | None = None, limit: int | None = None) -> Iterator[ShopLog]:
    """A log in Parquet or text; its frame can be used inside the block. `limit`: only the first rows.

    UnreadableLog says what is wrong with the file, or which option of `style` it needs.
    """
    with TemporaryDirectory(prefix="cartmesh-") as folder:
        try:
            found = source(Path(path), Path(folder))
            if limit is not None:
                found = Source(path=found.path, frame=found.frame.head(limit), unit=found.unit, notes=found.notes)
            log = _log(found, demand, style or Style())
        except pl.exceptions.PolarsError as error:
            raise UnreadableLog(f"{path} cannot be read: {error}") from error
        yield log


def _log(found: Source, demand: Demand, style: Style) -> ShopLog:
    held = found.frame.collect_schema()
    names = matched([name for name in held if name not in (LINE, MISFIT)])
    if missing := [column for column in demand.columns if column not in names]:
        raise UnreadableLog(_lacking(found, missing, [name for name in held if name not in (LINE, MISFIT)]))
    frame = found.frame.select(
        pl.col(LINE).alias("line"),
        pl.col(MISFIT).alias("misfit"),
        *(_text(column, names, held) for column in COLUMNS if column not in ("event_time", "price")),
        *_with_written("event_time", _time(found, names["event_time"], held, style), names, held),
        *_with_written("price", _price(found, names.get("price"), held, style), names, held),
    )
    marked = _without_doubled(_marked(frame, demand))
    rows = marked.select(pl.len()).collect(engine="streaming").item()
    account = Account(
        rows=rows,
        left_out=reasons(marked, "left_out", found.unit),
        notes=(*found.notes, *_price_notes(marked, found.unit)),
    )
    used = marked.filter(pl.col("left_out").is_null()).select("line", *COLUMNS)
    return ShopLog(frame=used, account=account)


def _lacking(found: Source, missing: list[str], there: list[str]) -> str:
    """Which columns a file lacks, what they may be called and what it has."""
    others = [f"{name} may be called {', '.join(COLUMNS[name])}" for name in missing if COLUMNS[name]]
    place = f"{found.path}, line 1" if found.unit == "line" else str(found.path)
    return "; ".join([f"{place}: no column {', '.join(missing)}", f"there are {', '.join(there)}", *others])


def _text(column: str, names: dict[str, str], held: pl.Schema, *, alias: str | None = None) -> pl.Expr:
    """A column as text, null where a tool wrote that there is nothing. A whole float is an id that a tool widened."""
    if column not in names:
        return pl.lit(None, pl.String).alias(alias or column)
    there = pl.col(names[column])
    if held[names[column]].is_float():
        whole = pl.when(there == there.round()).then(there.cast(pl.Int64, strict=False).cast(pl.String))
        text: pl.Expr = whole.otherwise(pl.when(there.is_finite()).then(there.cast(pl.String)))
    else:
        written = there.cast(pl.String, strict=False).str.strip_chars()
        text = pl.when(written.str.to_lowercase().is_in(NOTHING).not_()).then(written)
    return text.alias(alias or column)


def _with_written(column: str, value: pl.Expr, names: dict[str, str], held: pl.Schema) -> tuple[pl.Expr, pl.Expr]:
    return value.alias(column), _text(column, names, held, alias=f"{column}_written")


def _time(found: Source, name: str, held: pl.Schema, style: Style) -> pl.Expr:
    kind, there = held[name], pl.col(name)
    if isinstance(kind, pl.Datetime):
        there = there.dt.replace_time_zone("UTC") if kind.time_zone is None else there.dt.convert_time_zone("UTC")
        return there.cast(times.UTC_TIME)
    if kind == pl.Date:
        return there.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if kind.is_numeric():
        return times.from_number(there.cast(pl.Float64) if kind.is_float() else there.cast(pl.Int64))
    if kind != pl.String:
        raise UnreadableLog(f"{found.path}: column {name} holds no times but {kind}")
    order = times.order_of(found, name, style)
    return there.map_batches(partial(times.parsed, order=order), return_dtype=times.UTC_TIME, is_elementwise=True)


def _price(found: Source, name: str | None, held: pl.Schema, style: Style) -> pl.Expr:
    """A price as it is where it is a number, else its digits with a point; null where there is none to use."""
    if name is None:
        return pl.lit(None, pl.String)
    there = pl.col(name)
    if held[name].is_numeric():
        number = there.cast(pl.Float64)
        return pl.when(number.is_finite() & (number >= 0)).then(number)
    text = there.cast(pl.String)
    if held[name] != pl.String:
        return text
    number = prices.parsed(text, prices.sign_of(found, name, style))
    return pl.when(number.str.starts_with("-").not_()).then(number)


def _marked(frame: pl.LazyFrame, demand: Demand) -> pl.LazyFrame:
    """With `left_out`, why a row is not used, and `value`, what stands there instead."""
    known = {name: kind for kind, others in EVENT_TYPES.items() for name in (kind, *others)}
    named = pl.col("event_type").str.to_lowercase().str.replace_all(r"[^a-z0-9]+", "_").str.strip_chars("_")
    kind, time = pl.col("kind"), pl.col("event_time")
    faults: list[tuple[pl.Expr, str, str | None]] = [
        (pl.col("misfit").is_not_null(), "the row does not fit the header", "misfit"),
        (pl.col("event_time_written").is_null() & time.is_null(), "no event_time", None),
        (time.is_null(), "the time cannot be read", "event_time_written"),
        (pl.col("event_type").is_null(), "no event_type", None),
        (kind.is_null(), f"the event type is none of {', '.join(EVENT_TYPES)}", "event_type"),
        (kind.is_in(demand.kinds).not_(), "rows of this event type are not used here", "event_type"),
        *(
            (pl.all_horizontal(pl.col(name).is_null() for name in fields), f"no {' and no '.join(fields)}", None)
            for fields in demand.fields
        ),
    ]
    return (
        frame.with_columns(kind=named.replace_strict(known, default=None, return_dtype=pl.String))
        .with_columns(
            left_out=pl.coalesce(pl.when(fault).then(pl.lit(why)) for fault, why, _ in faults),
            value=pl.coalesce(
                pl.when(fault).then(pl.col(value) if value else pl.lit("")) for fault, _, value in faults
            ),
        )
        .with_columns(event_type="kind", value=pl.when(pl.col("value") != "").then("value"))
    )


def _without_doubled(marked: pl.LazyFrame) -> pl.LazyFrame:
    """Purchases that stand there twice are left out the second time; only purchases are held for that."""
    purchases = (
        marked.filter(pl.col("left_out").is_null(), pl.col("event_type") == "purchase")
        .select("line", "event_time", "user_id", "user_session", "product_id", "price")
        .collect(engine="streaming")
        .sort("line")
    )
    again = purchases.filter(purchases.drop("line").is_duplicated())
    again = again.filter(pl.struct(pl.exclude("line")).is_first_distinct().not_())
    if again.is_empty():
        return marked
    doubled = pl.col("line").is_in(again["line"].implode())
    return marked.with_columns(left_out=pl.when(doubled).then(pl.lit(DOUBLED)).otherwise("left_out"))


def _price_notes(marked: pl.LazyFrame, unit: str) -> list[str]:
    unusable = pl.col("price").is_null() & pl.col("price_written").is_not_null()
    noted = marked.filter(pl.col("left_out").is_null(), unusable).select(
        "line", value="price_written", why=pl.lit("the price cannot be used and counts as unknown")
    )
    return [f"used all the same {reason}" for reason in reasons(noted, "why", unit)]
