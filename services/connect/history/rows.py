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
IDS = ("visitor_id", "customer_id", "session_id", "product_id", "cart_id", "order_id")


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
        self._fields = {
            kind: [(name, column) for name, column in mapping.fields.items() if name in known_fields(kind)]
            for kind in mapping.kinds
        }
        self._money = {kind: frozenset(money_fields(kind)) for kind in mapping.kinds}
        self._required = {kind: frozenset(required_fields(kind)) for kind in mapping.kinds}

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
        times = moments(part[self._mapping.time.column], self._mapping.time)
        stamps = times.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_list()
        texts = part.select(pl.exclude(LINE, MISFIT).map_batches(_as_text))
        columns = texts.columns
        kind_column = None if isinstance(self._mapping.type, str) else self._mapping.type.column
        read: list[Row | Bad] = []
        for line, misfit, stamp, values in zip(part[LINE], part[MISFIT], stamps, texts.iter_rows(), strict=True):
            row = dict(zip(columns, values, strict=True))
            if misfit is not None:
                read.append(Bad(line, f"the row does not fit the header: {misfit}"))
                continue
            try:
                read.append(self._one(line, row, stamp, kind_column))
            except InvalidField as wrong:
                read.append(Bad(line, wrong.reason))
        return read

    def _one(self, line: int, row: dict[str, str | None], stamp: str | None, kind_column: str | None) -> Row:
        mapping = self._mapping
        if kind_column is None:
            kind = str(mapping.type)
        else:
            written = row[kind_column]
            found = mapping.type.values.get(written or "")  # type: ignore[union-attr]  it has a column
            if found is None:
                raise InvalidField("", f"{kind_column}: {_shown(written)} is none of the values in type.values")
            kind = found
        if stamp is None:
            raise InvalidField(
                "", f"{mapping.time.column}: {_shown(row[mapping.time.column])} is no time as [time] says"
            )
        fields: dict[str, Any] = {"time": stamp}
        money, required = self._money[kind], self._required[kind]
        for name, column in self._fields[kind]:
            text = row[column]
            if text is None:
                if name in required:
                    raise InvalidField("", f"{column}: empty, and {kind} needs {name}")
            elif name in money:
                fields[name] = self._amount(text, row, column)
            elif name in ("quantity", "results", "utc_offset"):
                fields[name] = _whole(text, column)
            else:
                fields[name] = plain_id(text) if name in IDS else text
        return Row(line, self._digest(kind, row, stamp), kind, fields)

    def _amount(self, text: str, row: dict[str, str | None], column: str) -> dict[str, Any]:
        amounts = self._mapping.amounts
        if amounts is None:
            raise InvalidField("", f"{column}: the mapping has no [amounts]")
        currency = amounts.currency
        code = row[currency.column] if isinstance(currency, CurrencyColumn) else currency
        if not code:
            raise InvalidField("", f"{column}: the row has no currency")
        try:
            return {"amount": minor_amount(text, amounts.decimal, code), "currency": code.upper()}
        except InvalidField as wrong:
            raise InvalidField("", f"{column}: {wrong.reason}") from None

    def _digest(self, kind: str, row: dict[str, str | None], stamp: str) -> bytes:
        named = [row[one] or "" for one in self._mapping.id] or [stamp, *(value or "" for value in row.values())]
        return blake2b("\x1f".join((self._mapping.source, kind, *named)).encode(), digest_size=16).digest()


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
