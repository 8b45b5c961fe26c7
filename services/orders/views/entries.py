"""Entries: the events of an order as lines of its history, in words that a shop's staff reads."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from mesh import Money, Received
from mesh.event import declaration_of
from services.orders.views.picture import plain, title_of

DOMAINS = ("order", "checkout", "stock", "payment", "fraud", "shipment")
"""The domains whose events, under the order's id, are its history. Personal ones are not among them."""
_STEPS = frozenset({"step", "requested"})
_SHOWN = (
    "outcome", "step", "requested", "decision", "amount", "total", "refunded", "score", "reason", "reasons", "failure",
    "parked", "carrier", "tracking",
)  # fmt: skip
"""The fields that are worth a word, where an event has them."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event: when it was stored, what happened, and the facts that matter."""

    at: datetime
    title: str
    facts: tuple[tuple[str, str], ...]


def entries(history: Iterable[Received]) -> list[Entry]:
    """The history, oldest first."""
    return [_entry(one) for one in history]


def shown_money(amount: Money | None) -> str:
    """An amount as people write it, such as 25.98 EUR; - for none."""
    return f"{amount.decimal()} {amount.currency}" if amount else "-"


def _entry(received: Received) -> Entry:
    name = declaration_of(type(received.event)).name
    words = name.replace(".", " ").replace("_", " ")
    found = ((field, getattr(received.event, field, None)) for field in _SHOWN)
    facts = tuple((field, _text(field, value)) for field, value in found if value not in (None, "", ()))
    return Entry(at=received.stored, title=words[:1].upper() + words[1:], facts=facts)


def _text(field: str, value: Any) -> str:
    if isinstance(value, Money):
        return shown_money(value)
    if isinstance(value, tuple):
        return "; ".join(map(str, value))
    return title_of(value) if field in _STEPS else plain(str(value))
