"""Reported: what became of orders that another system of the shop takes, as that system reports it."""

from collections.abc import AsyncIterator, Iterable

from mesh import Mesh, Money
from mesh.accept import Sent
from mesh.errors import InvalidField
from mesh.events.cart import CartLine
from mesh.events.order import (
    OrderCancellationReported,
    OrderCancelled,
    OrderCreated,
    OrderedPieces,
    OrderRefunded,
    OrderRefundReported,
)
from mesh.publish import Change

TAKEN_HERE = "this order was taken here: use POST /v1/orders/{order_id}/cancellation, and refunds follow from payments"


def check_lines(report: OrderCancellationReported) -> OrderCancellationReported:
    """The report itself. Raises InvalidField for one without lines."""
    if not report.lines:
        raise InvalidField("$.lines", "an order has at least one line")
    return report


def check_amount(report: OrderRefundReported) -> OrderRefundReported:
    """The report itself. Raises InvalidField for one of no money."""
    if report.amount.amount <= 0:
        raise InvalidField("$.amount", "what was paid back is more than nothing")
    return report


async def cancelled(sent: Sent[OrderCancellationReported], mesh: Mesh) -> AsyncIterator[Change]:
    """The report, and that the order is cancelled; reported again it changes nothing."""
    report = sent.event
    history = await mesh.history(report.order_id, OrderCreated, OrderCancelled)
    if history.last(OrderCreated):
        raise InvalidField("$.order_id", TAKEN_HERE)
    known = history.last(OrderCancelled)
    if known and not known.event.left:
        return
    yield sent.draft
    yield OrderCancelled(
        order_id=report.order_id,
        lines=_pieces(report.lines),
        amount=report.total,
        left=(),
        total=Money(amount=0, currency=report.total.currency),
        by=report.asked_by,
        reason=report.reason,
    )
    for unchanged in history.unchanged(OrderCancelled):
        yield unchanged


async def refunded(sent: Sent[OrderRefundReported], mesh: Mesh) -> AsyncIterator[Change]:
    """The report, and what was paid back in all; a refund that was reported before changes nothing."""
    report = sent.event
    history = await mesh.history(report.order_id, OrderCreated, OrderRefundReported, OrderRefunded)
    if history.last(OrderCreated):
        raise InvalidField("$.order_id", TAKEN_HERE)
    reported = [one.event for one in history if isinstance(one.event, OrderRefundReported)]
    amounts = {one.refund_id: one.amount for one in reported}
    if report.refund_id in amounts:
        return
    currencies = {report.amount.currency, *(one.currency for one in amounts.values())}
    if len(currencies) > 1:
        raise InvalidField("$.amount", f"an order has one currency, not {' and '.join(sorted(currencies))}")
    total = report.amount.amount + sum(one.amount for one in amounts.values())
    yield sent.draft
    yield OrderRefunded(order_id=report.order_id, refunded=Money(amount=total, currency=report.amount.currency))
    for unchanged in history.unchanged(OrderRefundReported, OrderRefunded):
        yield unchanged


def _pieces(lines: Iterable[CartLine]) -> tuple[OrderedPieces, ...]:
    return tuple(OrderedPieces(product_id=one.product_id, quantity=one.quantity) for one in lines)
