"""Rows: each row of a file as the fields of an event, or the reason why it cannot be one."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import polars as pl

from mesh.errors import InvalidField
from mesh.shop_logs.delimited import LINE, MISFIT
from mesh.shop_logs.source import Source
from mesh.shop_logs.style import UnreadableLog
from services.connect.history.amounts import minor_amount
from services.connect.history.mapping import CurrencyColumn, Mapping, known_fields, money_fields, required_fields
from services.connect.history.moments import moments
from services.connect.names import plain_id

AT_ONCE = 20_000
"""Rows that are held at a time."""
NOTHING = frozenset({"", "null", "none", "nan", "na", "n/a", "\\n"})
NUMBERS = ("quantity", "results", "utc_offset")
IDS = ("visitor_id", "customer_id", "session_id", "product_id", "cart_id", "order_id")
_Placed = tuple[str, str, str, bool, int]


@dataclass(frozen=True, slots=True)
class Row:
    """A row that can be imported: where it stands, the digest that names it, its kind, and its fields."""

    line: int
    digest: bytes
    kind: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that cannot be imported, and why."""

    line: int
    reason: str


class Reader:
    """Reads rows of a file by a mapping."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._columns = {
            kind: [
                (name, column, _how(kind, name), name in required_fields(kind))
                for name, column in mapping.fields.items()
                if name in known_fields(kind)
            ]
            for kind in mapping.kinds
        }

    def rows(self, found: Source) -> Iterator[list[Row | Bad]]:
        """All rows, some thousand at a time, in the file's order. Raises UnreadableLog for a column that is missing."""
        held = found.frame.collect_schema()
        if missing := [name for name in self._mapping.columns if name not in held]:
            there = ", ".join(name for name in held if name not in (LINE, MISFIT))
            raise UnreadableLog(f"{found.path}: no column {', '.join(missing)}; there are {there}")
        wanted = found.frame.select(LINE, MISFIT, *self._mapping.columns)
        at = 0
        while not (part := wanted.slice(at, AT_ONCE).collect()).is_empty():
            at += len(part)
            yield self._read(part)

    def _read(self, part: pl.DataFrame) -> list[Row | Bad]:
        mapping = self._mapping
        times = moments(part[mapping.time.column], mapping.time)
        stamps = times.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00")
        texts = part.select(pl.exclude(LINE, MISFIT).map_batches(_as_text))
        places = {name: at for at, name in enumerate(texts.columns)}
        kind_at = None if isinstance(mapping.type, str) else places[mapping.type.column]
        plans = {kind: [(*one, places[one[1]]) for one in columns] for kind, columns in self._columns.items()}
        currency = mapping.amounts.currency if mapping.amounts else ""
        currency_at = places[currency.column] if isinstance(currency, CurrencyColumn) else None
        read: list[Row | Bad] = []
        for line, misfit, stamp, named, values in zip(
            part[LINE], part[MISFIT], stamps.to_list(), self._named(texts, stamps), texts.iter_rows(), strict=True
        ):
            if misfit is not None:
                read.append(Bad(line, f"the row does not fit the header: {misfit}"))
                continue
            try:
                kind = str(mapping.type) if kind_at is None else self._kind(values[kind_at])
                if stamp is None:
                    shown = _shown(values[places[mapping.time.column]])
                    raise InvalidField("", f"{mapping.time.column}: {shown} is no time as [time] says")
                code = currency if currency_at is None else values[currency_at]
                fields = self._fields(kind, stamp, values, plans[kind], code)
                digest = blake2b(f"{mapping.source}\x1f{kind}\x1f{named}".encode(), digest_size=16).digest()
                read.append(Row(line, digest, kind, fields))
            except InvalidField as wrong:
                read.append(Bad(line, wrong.reason))
        return read

    def _named(self, texts: pl.DataFrame, stamps: pl.Series) -> list[str]:
        """What names each row: the columns that the mapping gives as its id, else its time and all columns."""
        parts = [texts[one] for one in self._mapping.id] or [stamps, *texts]
        columns = [pl.lit(one).fill_null("") for one in parts]
        return pl.select(pl.concat_str(columns, separator="\x1f")).to_series().to_list()

    def _kind(self, written: str | None) -> str:
        mapping = self._mapping.type
        found = mapping.values.get(written or "")  # type: ignore[union-attr]  it has a column
        if found is None:
            column = mapping.column  # type: ignore[union-attr]
            raise InvalidField("", f"{column}: {_shown(written)} is none of the values in type.values")
        return found

    def _fields(
        self, kind: str, stamp: str, values: tuple[str | None, ...], columns: list[_Placed], currency: Any
    ) -> dict[str, Any]:
        """The event's fields. A column is given as field, name, how it is read, whether it must be, and its place."""
        fields: dict[str, Any] = {"time": stamp}
        for name, column, how, required, at in columns:
            text = values[at]
            if text is None:
                if required:
                    raise InvalidField("", f"{column}: empty, and {kind} needs {name}")
            elif how == "id":
                fields[name] = plain_id(text)
            elif how == "money":
                fields[name] = self._amount(text, currency, column)
            else:
                fields[name] = _whole(text, column) if how == "number" else text
        return fields

    def _amount(self, text: str, code: str | None, column: str) -> dict[str, Any]:
        amounts = self._mapping.amounts
        if amounts is None:
            raise InvalidField("", f"{column}: the mapping has no [amounts]")
        if not code:
            raise InvalidField("", f"{column}: the row has no currency")
        try:
            return {"amount": minor_amount(text, amounts.decimal, code), "currency": code.upper()}
        except InvalidField as wrong:
            raise InvalidField("", f"{column}: {wrong.reason}") from None


def _how(kind: str, name: str) -> str:
    """How a field is read: an amount of `money`, a `number`, an `id`, or a `text`."""
    if name in money_fields(kind):
        return "money"
    return "number" if name in NUMBERS else "id" if name in IDS else "text"


def _as_text(values: pl.Series) -> pl.Series:
    """A column as text, null where a tool wrote that there is nothing. A whole float is an id that a tool widened."""
    if values.dtype.is_float():
        whole = values.cast(pl.Int64, strict=False)
        text = values.cast(pl.String)
        exact = (values == whole.cast(pl.Float64)).fill_null(value=False)
        return pl.select(pl.when(exact).then(whole.cast(pl.String)).otherwise(text).alias(values.name)).to_series()
    text = values.cast(pl.String, strict=False).str.strip_chars()
    nothing = text.str.to_lowercase().is_in(list(NOTHING))
    return pl.select(pl.when(~nothing).then(text).alias(values.name)).to_series()


def _whole(text: str, column: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidField("", f"{column}: {_shown(text)} is no whole number") from None


def _shown(text: str | None) -> str:
    return "nothing" if text is None else repr(text[:40])
