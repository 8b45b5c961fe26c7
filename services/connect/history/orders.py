"""Orders: rows of one order become it; what they disagree about is not decided here."""

from hashlib import blake2b
from typing import Any

from services.connect.history.mapping import LINE_FIELDS, ORDER_FIELDS
from services.connect.history.rows import Bad, Row

Line = tuple[int, bytes, dict[str, Any]]
MOST_NAMED = 5


def order_of(lines: list[Line], source: str) -> Row | Bad:
    """The order that these rows are, at the earliest of their times; its total, where none is mapped, is their sum."""
    first, _, head = lines[0]
    places = ", ".join(str(line) for line, _, _ in lines[:MOST_NAMED])
    order: dict[str, Any] = {"time": min(fields["time"] for _, _, fields in lines)}
    for name in ORDER_FIELDS:
        told = [fields[name] for _, _, fields in lines if name in fields]
        if any(one != told[0] for one in told):
            return Bad(first, f"rows {places} are one order and have different values of {name}")
        if told:
            order[name] = told[0]
    currencies = {fields["price"]["currency"] for _, _, fields in lines}
    if len(currencies) > 1:
        return Bad(first, f"rows {places} are one order and have several currencies: {', '.join(sorted(currencies))}")
    order["lines"] = _merged([fields for _, _, fields in lines])
    if "total" not in order:
        amount = sum(line["price"]["amount"] * line["quantity"] for line in order["lines"])
        order["total"] = {"amount": amount, "currency": currencies.pop()}
    named = f"{source}\x1forder\x1f{head['order_id']}"
    return Row(first, blake2b(named.encode(), digest_size=16).digest(), "order_confirmed", order)


def _merged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: fields[name] for name in LINE_FIELDS if name in fields} for fields in rows]
