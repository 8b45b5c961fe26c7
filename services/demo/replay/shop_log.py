"""A shop's log as rows of views, carts and purchases that a storefront can send."""

import math
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import msgspec

from mesh.money import minor_digits
from mesh.shop_logs.account import Account
from mesh.shop_logs.style import Style
from mesh.subjects import MAX_TOKEN

Kind = Literal["view", "cart", "remove_from_cart", "purchase"]
NEEDED = ("event_time", "event_type", "product_id", "user_id")
_UNFIT = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a shop's log. `price` is in minor units; `number` is its place among the rows used, from 0.

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


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a log by time, and what became of all rows of the file."""

    rows: list[Row]
    account: Account


def read_log(path: Path, *, currency: str = "USD", limit: int | None = None, style: Style | None = None) -> Reading:
    """The rows of a log by time, those of one time as they stand in the file; `limit`: only the file's first ones.

    The file is Parquet or delimited text; `mesh.shop_logs` says which columns and spellings are understood, and the
    account says which rows were left out and why. Raises UnreadableLog for a file that cannot be understood whole.
    """
    from mesh.shop_logs.log import Demand, opened  # noqa: PLC0415  polars is heavy, and only replays of a file need it

    with opened(path, Demand(columns=NEEDED), style=style, limit=limit) as log:
        frame = log.frame.collect()
    found = sorted(rows(frame.iter_rows(named=True), currency=currency), key=lambda row: row.time)
    return Reading(rows=found, account=log.account)


def rows(records: Iterator[dict[str, Any]], *, currency: str = "USD") -> Iterator[Row]:
    """Records of `mesh.shop_logs` as rows."""
    for number, record in enumerate(records):
        user = record["user_id"]
        yield Row(
            number=number,
            time=record["event_time"],
            kind=record["event_type"],
            product_id=token_of(record["product_id"]),
            user_id=token_of(user),
            session_id=token_of(record["user_session"] or f"user-{user}"),
            price=minor_units(record["price"], currency),
            category=record["category_code"],
            brand=record["brand"],
            name=record["name"],
            time_zone=record["time_zone"],
            device=record["device"],
            locale=record["locale"],
        )


def token_of(value: str) -> str:
    """An id as a subject token: itself where it can be one, else its fit characters and a hash of the whole."""
    if len(value) <= MAX_TOKEN and not _UNFIT.search(value):
        return value
    digest = blake2b(value.encode(), digest_size=6).hexdigest()
    return f"{_UNFIT.sub('-', value)[:40].strip('-')}-{digest}".strip("-")


def minor_units(price: float | str | None, currency: str) -> int | None:
    """A price in major units as minor units, halves up; None where there is none or it is negative."""
    if price is None or not math.isfinite(float(price)):
        return None
    amount = Decimal(str(price)).scaleb(minor_digits(currency)).quantize(Decimal(1), ROUND_HALF_UP)
    return int(amount) if amount >= 0 else None
