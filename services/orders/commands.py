"""Commands: what may still be done to an order, decided from what is true of it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from mesh import Event, Money
from mesh.envelope import derive_id
from mesh.errors import InvalidField, MeshError
from mesh.events.cart import CartLine
from mesh.events.order import (
    Command,
    OrderCancelled,
    OrderConfirmed,
    OrderedPieces,
    OrderReaddressed,
    OrderReturned,
)
from mesh.events.shipment import ShipmentRequested, ShipmentReturned
from mesh.vocabulary import Token
from services.orders.fold import OrderView
from services.orders.taking import MOST_LINES, MOST_PIECES, Address

LONGEST_REASON = 500
Reason = Annotated[str, msgspec.Meta(max_length=LONGEST_REASON)]


class NotPossible(MeshError):
    """What is asked does not fit what has happened to the order: it is refused, and the order stays as it is."""


class Pieces(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some pieces of a product of the order."""

    product_id: Token
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MOST_PIECES)]


class Cancellation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/orders/{id}/cancellation`: without `lines` the whole order."""

    lines: Annotated[tuple[Pieces, ...], msgspec.Meta(min_length=1, max_length=MOST_LINES)] | None = None
    reason: Reason = ""
    by: Literal["customer", "shop"] = "customer"


class Return(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/orders/{id}/returns`."""

    lines: Annotated[tuple[Pieces, ...], msgspec.Meta(min_length=1, max_length=MOST_LINES)]
    reason: Reason = ""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """The event that a command comes to, and the types of which none may have happened to the order meanwhile."""

    event: Event
    unless: tuple[type[Event], ...]


Asked = Cancellation | Return | Address


def decide(asked: Asked, order: OrderView, command: Command) -> Decided | None:
    """What a command comes to; None where it is true already.

    Raises NotPossible for what comes too late or too early, and for a key that was used with another body;
    InvalidField for pieces that the order does not have.
    """
    if (known := order.commands.get(command.key)) is not None:
        if known != command.body:
            raise NotPossible("this Idempotency-Key was used before with another body; a new request needs a new key")
        return None
    match asked:
        case Cancellation():
            return _cancelled(asked, order, command)
        case Return():
            return _returned(asked, order, command)
        case Address():
            return _readdressed(order, command)


def _cancelled(asked: Cancellation, order: OrderView, command: Command) -> Decided | None:
    if order.status == "cancelled":
        if asked.lines is None:
            return None
        raise NotPossible("the whole order is cancelled already")
    _not_shipped(order, "it was handed to shipping: what is shipped can be returned, and is not cancelled any more")
    pieces = _summed(asked.lines) if asked.lines else {line.product_id: line.quantity for line in order.lines}
    left = _without(order.lines, pieces)
    amount = _cost(order.lines, pieces)
    event = OrderCancelled(
        order_id=order.order_id,
        lines=_pieces(pieces),
        amount=amount,
        left=left,
        total=Money.sum(line.price * line.quantity for line in left) or amount * 0,
        by=asked.by,
        reason=asked.reason,
        command=command,
    )
    return Decided(event=event, unless=(OrderCancelled, ShipmentRequested))


def _returned(asked: Return, order: OrderView, command: Command) -> Decided:
    if order.status not in ("dispatched", "delivered"):
        raise NotPossible(f"the order is {order.status}: only what was dispatched can be returned")
    pieces, before = _summed(asked.lines), _summed(order.returned)
    _without(order.lines, {one: pieces.get(one, 0) + before.get(one, 0) for one in (*before, *pieces)})
    return Decided(event=_return_of(order, pieces, asked.reason, command), unless=(OrderReturned,))


def _return_of(order: OrderView, pieces: dict[str, int], reason: str, command: Command) -> OrderReturned:
    before = _summed(order.returned)
    back = {one: pieces.get(one, 0) + before.get(one, 0) for one in (*before, *pieces)}
    return OrderReturned(
        order_id=order.order_id,
        lines=_pieces(pieces),
        amount=_cost(order.lines, pieces),
        all_lines=_pieces(back),
        total=_cost(order.lines, back),
        reason=reason,
        command=command,
    )


def _readdressed(order: OrderView, command: Command) -> Decided:
    if order.status == "cancelled":
        raise NotPossible("the order is cancelled")
    _not_shipped(order, "it was handed to shipping: its address cannot be changed any more")
    event = OrderReaddressed(order_id=order.order_id, address_id=command.key, command=command)
    return Decided(event=event, unless=(OrderReaddressed, OrderCancelled, ShipmentRequested))


def cancelled_by_checkout(order: OrderView, reason: str) -> OrderCancelled | None:
    """The end of an order that the checkout could not finish; None where it has ended."""
    if order.status == "cancelled" or order.total is None:
        return None
    pieces = {line.product_id: line.quantity for line in order.lines}
    return OrderCancelled(
        order_id=order.order_id,
        lines=_pieces(pieces),
        amount=order.total,
        left=(),
        total=order.total * 0,
        by="checkout",
        reason=reason,
    )


def returned_by_carrier(order: OrderView, parcel: ShipmentReturned) -> OrderReturned | None:
    """The return of what a carrier brought back; None where it is returned already, or nothing was handed to shipping.

    A parcel is returned once, and never more than is left of the order. It may have come back before anybody reported
    that it was dispatched.
    """
    key = derive_id("returned parcel", order.order_id, parcel.tracking or "")
    if key in order.commands or order.status not in ("shipping", "dispatched", "delivered"):
        return None
    before, inside = _summed(order.returned), _summed(parcel.lines)
    left = {line.product_id: line.quantity - before.get(line.product_id, 0) for line in order.lines}
    back = {one: min(quantity, inside.get(one, 0)) if inside else quantity for one, quantity in left.items()}
    pieces = {one: quantity for one, quantity in back.items() if quantity > 0}
    if not pieces:
        return None
    reason = parcel.reason or "the carrier brought it back"
    return _return_of(order, pieces, reason[:LONGEST_REASON], Command(key=key, body=key))


def confirmed(order: OrderView, session_id: str | None) -> OrderConfirmed | None:
    """The confirmation of an order; None where it is confirmed or cancelled."""
    if order.status != "created" or order.total is None:
        return None
    return OrderConfirmed(
        order_id=order.order_id,
        lines=order.lines,
        total=order.total,
        visitor_id=order.visitor_id,
        cart_id=order.cart_id,
        session_id=session_id,
        customer_id=order.customer_id,
    )


def _not_shipped(order: OrderView, words: str) -> None:
    if order.status not in ("created", "confirmed"):
        raise NotPossible(words)


def _summed(lines: Iterable[Pieces | OrderedPieces]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in lines:
        found[line.product_id] = found.get(line.product_id, 0) + line.quantity
    return found


def _pieces(pieces: dict[str, int]) -> tuple[OrderedPieces, ...]:
    return tuple(OrderedPieces(product_id=one, quantity=quantity) for one, quantity in pieces.items())


def _without(lines: tuple[CartLine, ...], pieces: dict[str, int]) -> tuple[CartLine, ...]:
    """The lines less some pieces. Raises InvalidField for more than there are."""
    has = {line.product_id: line.quantity for line in lines}
    for product_id, quantity in pieces.items():
        if quantity > has.get(product_id, 0):
            raise InvalidField(
                "$.lines", f"the order has {has.get(product_id, 0)} pieces of {product_id}, not {quantity}"
            )
    left = [(line, line.quantity - pieces.get(line.product_id, 0)) for line in lines]
    return tuple(msgspec.structs.replace(line, quantity=quantity) for line, quantity in left if quantity)


def _cost(lines: tuple[CartLine, ...], pieces: dict[str, int]) -> Money:
    prices = {line.product_id: line.price for line in lines}
    unknown = next((one for one in pieces if one not in prices), None)
    if unknown is not None:
        raise InvalidField("$.lines", f"the order has 0 pieces of {unknown}, not {pieces[unknown]}")
    total = Money.sum(prices[one] * quantity for one, quantity in pieces.items())
    if total is None:
        raise InvalidField("$.lines", "no lines")
    return total
