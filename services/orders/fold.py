"""Fold: what is true of an order, from its events in any order and delivered any number of times."""

from collections.abc import Iterable
from datetime import datetime
from functools import reduce
from typing import Any, Literal

import msgspec

from mesh import Money, Received
from mesh.events.cart import CartLine
from mesh.events.order import (
    Command,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderedPieces,
    OrderReaddressed,
    OrderRefunded,
    OrderReturned,
)
from mesh.events.payment import PaymentChargebackReversed, PaymentChargedBack
from mesh.events.shipment import (
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentRequested,
    ShipmentReturned,
)

KINDS = (
    OrderCreated,
    OrderReaddressed,
    OrderConfirmed,
    OrderCancelled,
    OrderReturned,
    OrderRefunded,
    PaymentChargedBack,
    PaymentChargebackReversed,
    ShipmentRequested,
    ShipmentCreated,
    ShipmentDispatched,
    ShipmentDelivered,
    ShipmentReturned,
)
"""The events that an order is the fold of. None is personal, and all are in one stream."""
Status = Literal["unknown", "created", "confirmed", "shipping", "dispatched", "delivered", "cancelled"]


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it is now.

    `lines` are those that are not cancelled, `total` is what they cost, `ordered` what was ordered at first.
    `returned` are pieces that came back, for `returned_total`; `refunded` is what was paid back, and `charged_back`
    what the bank took back in disputes that were not won. `sequence` is the place of its newest event in the stream,
    `seen` the place of the newest of each type, and `commands` has the digests of the requests that it follows from,
    by key.
    Every field follows from the newest event of its types, so that the order in which events are consumed makes no
    difference.
    """

    order_id: str
    status: Status = "unknown"
    lines: tuple[CartLine, ...] = ()
    total: Money | None = None
    ordered: Money | None = None
    customer_id: str | None = None
    visitor_id: str | None = None
    cart_id: str | None = None
    reference: str | None = None
    address_id: str | None = None
    reason: str | None = None
    returned: tuple[OrderedPieces, ...] = ()
    returned_total: Money | None = None
    refunded: Money | None = None
    charged_back: Money | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    sequence: int = 0
    seen: dict[str, int] = {}
    commands: dict[str, str] = {}


def public(order: OrderView) -> dict[str, Any]:
    """An order as the shop's servers see it: without what only the fold needs."""
    return {name: value for name, value in msgspec.structs.asdict(order).items() if name not in ("seen", "commands")}


def fold(order_id: str, events: Iterable[Received]) -> OrderView:
    """The view of an order after these events."""
    return reduce(step, events, OrderView(order_id=order_id))


def step(order: OrderView, received: Received) -> OrderView:
    """The view after one more event. Old, repeated and foreign events change nothing."""
    name = type(received.event).__name__
    if type(received.event) not in KINDS:
        return order
    command: Command | None = getattr(received.event, "command", None)
    if command is not None and command.key not in order.commands:
        order = msgspec.structs.replace(order, commands={**order.commands, command.key: command.body})
    if received.sequence <= order.seen.get(name, 0):
        return order
    seen = dict(sorted({**order.seen, name: received.sequence}.items()))
    changed = msgspec.structs.replace(
        order,
        **_fields(order, received),
        seen=seen,
        sequence=max(order.sequence, received.sequence),
        updated_at=max(order.updated_at or received.stored, received.stored),
    )
    return msgspec.structs.replace(changed, status=_status(changed))


def _fields(order: OrderView, received: Received) -> dict[str, object]:  # noqa: PLR0911  one return for each type
    match received.event:
        case OrderCreated() as created:
            kept = ("customer_id", "visitor_id", "cart_id", "reference")
            found = {name: getattr(created, name) for name in kept}
            if "OrderCancelled" not in order.seen:
                found |= {"lines": created.lines, "total": created.total}
            if "OrderReaddressed" not in order.seen:
                found |= {"address_id": created.address_id}
            return found | {"ordered": created.total, "created_at": received.time}
        case OrderReaddressed(address_id=address_id):
            return {"address_id": address_id}
        case OrderCancelled(left=left, total=total, reason=reason):
            return {"lines": left, "total": total, "reason": reason or None}
        case OrderReturned(all_lines=lines, total=total):
            return {"returned": lines, "returned_total": total}
        case OrderRefunded(refunded=refunded):
            return {"refunded": refunded}
        case PaymentChargedBack(payment=paid) | PaymentChargebackReversed(payment=paid):
            newest = max(order.seen.get(kind.__name__, 0) for kind in (PaymentChargedBack, PaymentChargebackReversed))
            left = Money(amount=paid.charged_back, currency=paid.captured.currency)
            return {"charged_back": left} if received.sequence > newest else {}
        case _:
            return {}


def _status(order: OrderView) -> Status:
    if "OrderCancelled" in order.seen and not order.lines:
        return "cancelled"
    known: tuple[tuple[str, Status], ...] = (
        ("ShipmentDelivered", "delivered"),
        ("ShipmentDispatched", "dispatched"),
        ("ShipmentCreated", "shipping"),
        ("ShipmentRequested", "shipping"),
        ("OrderConfirmed", "confirmed"),
        ("OrderCreated", "created"),
    )
    return next((status for name, status in known if name in order.seen), "unknown")
