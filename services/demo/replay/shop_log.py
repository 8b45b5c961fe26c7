"""A shop's log: rows of views, carts and purchases, read from Parquet or CSV whatever its gaps."""

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from mesh.money import minor_digits
from mesh.subjects import MAX_TOKEN

Kind = Literal["view", "cart", "remove_from_cart", "purchase"]
NEEDED = ("event_time", "event_type", "product_id", "user_id")
OPTIONAL = ("user_session", "category_code", "brand", "price", "name", "time_zone", "device", "locale")
_UNFIT = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)


class LogError(ValueError):
    """A file that is no shop's log; says which columns it lacks."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a shop's log. `price` is in minor units; `number` is its place in the file, from 0.

    `customer_id` is who the visitor is on all devices; without one, the visitor is a customer of their own.
    """

    number: int
    time: datetime
    kind: Kind
    product_id: str
    user_id: str
    session_id: str
    price: int | None = None
    category: str | None = None
    brand: str | None = None
    name: str | None = None
    time_zone: str | None = None
    device: str | None = None
    locale: str | None = None
    customer_id: str | None = None


def read_log(path: Path, *, currency: str = "USD", limit: int | None = None) -> list[Row]:
    """The rows of a log by time, those of one time as they stand in the file.

    Columns: event_time, event_type, product_id, user_id; and where there are: user_session,
    category_code, brand, price (major units), name, time_zone, device, locale. Rows of other event
    types, or without a time, product or user, are left out. Raises LogError for a file of another kind.
    """
    import polars as pl  # noqa: PLC0415  heavy, and only replays of a file need it

    read = pl.scan_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.scan_parquet(path)
    there = read.collect_schema().names()
    if lacking := [column for column in NEEDED if column not in there]:
        raise LogError(f"{path}: no column {', '.join(lacking)}; a shop's log has {', '.join(NEEDED + OPTIONAL)}")
    columns = [column for column in NEEDED + OPTIONAL if column in there]
    frame = read.select(columns).head(limit).collect() if limit is not None else read.select(columns).collect()
    return sorted(rows(frame.iter_rows(named=True), currency=currency), key=lambda row: row.time)


def rows(records: Iterator[dict[str, Any]], *, currency: str = "USD") -> Iterator[Row]:
    """Records as rows, leaving out those that say nothing a storefront could send."""
    for number, record in enumerate(records):
        time, kind = when(record["event_time"]), record["event_type"]
        product, user = text(record["product_id"]), text(record["user_id"])
        if time is None or product is None or user is None or kind not in get_args(Kind):
            continue
        yield Row(
            number=number,
            time=time,
            kind=kind,
            product_id=token_of(product),
            user_id=token_of(user),
            session_id=token_of(text(record.get("user_session")) or f"user-{user}"),
            price=minor_units(record.get("price"), currency),
            category=text(record.get("category_code")),
            brand=text(record.get("brand")),
            name=text(record.get("name")),
            time_zone=text(record.get("time_zone")),
            device=text(record.get("device")),
            locale=text(record.get("locale")),
        )


def token_of(value: str) -> str:
    """An id as a subject token: itself where it can be one, else its fit characters and a hash of the whole."""
    if len(value) <= MAX_TOKEN and not _UNFIT.search(value):
        return value
    digest = blake2b(value.encode(), digest_size=6).hexdigest()
    return f"{_UNFIT.sub('-', value)[:40].strip('-')}-{digest}".strip("-")


def text(value: object) -> str | None:
    """A field as text; None for nothing, blanks and NaN. A whole float is an id that a tool widened."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def minor_units(price: object, currency: str) -> int | None:
    """A price in major units as minor units, halves up; None where there is none or it is negative."""
    written = text(price)
    if written is None:
        return None
    amount = Decimal(written).scaleb(minor_digits(currency)).quantize(Decimal(1), ROUND_HALF_UP)
    return int(amount) if amount >= 0 else None


def when(value: object) -> datetime | None:
    """An event's time as aware UTC, from a datetime or ISO 8601 text with or without ` UTC`; None for neither."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.removesuffix("UTC").strip())
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
