"""Mapping: what the columns of a file mean, as its TOML file says. Nothing is guessed."""

import re
import tomllib
from pathlib import Path
from typing import Any, Literal
from zoneinfo import available_timezones

import msgspec

from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.order import OrderConfirmed
from mesh.money import Money
from mesh.shop_logs.style import UnreadableLog

KINDS: dict[str, type[msgspec.Struct]] = {
    "product_viewed": ProductViewed,
    "product_searched": ProductSearched,
    "checkout_started": CheckoutStarted,
    "order_confirmed": OrderConfirmed,
}
LINE_FIELDS = ("product_id", "quantity", "price", "name", "category", "brand", "image", "url")
"""Of an order each row is a line."""
ORDER_FIELDS = ("order_id", "visitor_id", "customer_id", "session_id", "coupon", "total")
EPOCHS = ("epoch_s", "epoch_ms", "epoch_us")


class TypeColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The column that says what a row is, and what its values mean; others are rows that are not imported."""

    column: str
    values: dict[str, str]


class TimeColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a row happened: `iso`, `epoch_s`, `epoch_ms`, `epoch_us`, or a pattern such as `%d.%m.%Y %H:%M`.

    `zone` is the zone of times that are written without one.
    """

    column: str
    format: str
    zone: str | None = None


class CurrencyColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The column that has the currency."""

    column: str


class Amounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How amounts are written, and in which currency."""

    decimal: Literal["comma", "point"]
    currency: str | CurrencyColumn


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping file.

    `source` names the system that the history comes from: the same row of the same source is the same event. `id`
    names the columns that tell rows apart; without it two rows with the same values in all mapped columns are one.
    """

    source: str
    type: str | TypeColumn
    time: TimeColumn
    fields: dict[str, str]
    amounts: Amounts | None = None
    id: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The events that rows can become."""
        found = (self.type,) if isinstance(self.type, str) else tuple(dict.fromkeys(self.type.values.values()))
        return tuple(found)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read."""
        kind = () if isinstance(self.type, str) else (self.type.column,)
        currency = self.amounts.currency if self.amounts else ""
        money = (currency.column,) if isinstance(currency, CurrencyColumn) else ()
        return tuple(dict.fromkeys((*kind, self.time.column, *self.fields.values(), *money, *self.id)))


def read_mapping(path: Path) -> Mapping:
    """The mapping of a file. Raises UnreadableLog, which says what to change."""
    try:
        mapping = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8-sig")), Mapping)
    except FileNotFoundError:
        raise UnreadableLog(f"{path}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnreadableLog(f"{path} is no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise UnreadableLog(f"{path}: {error}") from None
    if fault := _fault(mapping):
        raise UnreadableLog(f"{path}: {fault}")
    return mapping


def money_fields(kind: str) -> tuple[str, ...]:
    """The fields of an event, or of an order's lines, that are amounts."""
    if kind == "order_confirmed":
        return ("price", "total")
    return tuple(one.name for one in msgspec.structs.fields(KINDS[kind]) if Money in _types(one.type))


def known_fields(kind: str) -> tuple[str, ...]:
    """The fields that rows of a kind can fill."""
    if kind == "order_confirmed":
        return (*ORDER_FIELDS, *LINE_FIELDS)
    return tuple(one.name for one in msgspec.structs.fields(KINDS[kind]))


def required_fields(kind: str) -> tuple[str, ...]:
    """The fields that every row of a kind must fill."""
    if kind == "order_confirmed":
        return ("order_id", "product_id", "quantity", "price")
    return tuple(one.name for one in msgspec.structs.fields(KINDS[kind]) if one.required)


def _types(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__args__", (hint,))


def _fault(mapping: Mapping) -> str | None:  # noqa: PLR0911  one return per rule
    if not re.fullmatch(r"[a-z0-9_-]{1,40}", mapping.source):
        return "source: 1 to 40 of a-z 0-9 _ and -, such as `old-shop`"
    if unknown := [one for one in mapping.kinds if one not in KINDS]:
        return f"type: {', '.join(unknown)} cannot be imported; there are {', '.join(KINDS)}"
    if not mapping.kinds:
        return "type.values: say what the values of the column mean"
    known = {name for kind in mapping.kinds for name in known_fields(kind)}
    if unknown := sorted(set(mapping.fields) - known):
        return f"fields: {', '.join(unknown)}: there are {', '.join(sorted(known))}"
    for kind in mapping.kinds:
        if missing := [name for name in required_fields(kind) if name not in mapping.fields]:
            return f"fields: {kind} needs {', '.join(missing)}"
        money = [name for name in money_fields(kind) if name in mapping.fields]
        if money and mapping.amounts is None:
            return f"[amounts]: say how {', '.join(money)} is written (decimal = comma or point) and its currency"
    return _time_fault(mapping.time)


def _time_fault(time: TimeColumn) -> str | None:
    if time.zone is not None and time.zone not in available_timezones():
        return f"time.zone: {time.zone!r} is no zone such as Europe/Berlin"
    if time.format in EPOCHS and time.zone is not None:
        return f"time.zone: {time.format} counts from 1970 in UTC and has no zone"
    if time.format not in ("iso", *EPOCHS) and "%" not in time.format:
        return f"time.format: {time.format!r} is none of iso, {', '.join(EPOCHS)}, nor a pattern with %"
    if "%" in time.format and time.zone is None and not re.search(r"%[#:]*z|%s|%\+", time.format):
        return "time.zone: the pattern has no %z, so say in which zone the times are written, such as UTC"
    return None
