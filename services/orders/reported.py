"""Reported: what became of orders that another system of the shop takes, as that system reports it. Pure."""

from mesh import History, Money
from mesh.errors import InvalidField
from mesh.events.order import (
    OrderCancellationReported,
    OrderCancelled,
    OrderCreated,
    OrderedPieces,
    OrderRefunded,
    OrderRefundReported,
)

KINDS = (OrderCreated, OrderCancellationReported, OrderCancelled, OrderRefundReported, OrderRefunded)
TAKEN_HERE = "this order was taken here: use POST /v1/orders/{order_id}/cancellation, and refunds follow from payments"
Report = OrderCancellationReported | OrderRefundReported


def check(report: Report) -> Report:
    """The report itself. Raises InvalidField for one without lines, and for one of no money."""
    if isinstance(report, OrderCancellationReported) and not report.lines:
        raise InvalidField("$.lines", "an order has at least one line")
    if isinstance(report, OrderRefundReported) and report.amount.amount <= 0:
        raise InvalidField("$.amount", "what was paid back is more than nothing")
    return report


def is_new(report: Report, history: History) -> bool:
    """Whether a report says something new of an order. Raises InvalidField for one that cannot be."""
    if history.last(OrderCreated):
        raise InvalidField("$.order_id", TAKEN_HERE)
    if isinstance(report, OrderCancellationReported):
        return history.last(OrderCancellationReported) is None
    known = _refunds(history)
    if report.refund_id in known:
        return False
    currencies = {report.amount.currency, *(one.currency for one in known.values())}
    if len(currencies) > 1:
        raise InvalidField("$.amount", f"an order has one currency, not {' and '.join(sorted(currencies))}")
    return True


def followed(report: Report, history: History) -> OrderCancelled | OrderRefunded | None:
    """What is true of the order by the reports of its history; None where that is known."""
    if isinstance(report, OrderRefundReported):
        total = sum(one.amount for one in _refunds(history).values())
        before = history.last(OrderRefunded)
        if before and before.event.refunded.amount >= total:
            return None
        return OrderRefunded(order_id=report.order_id, refunded=Money(amount=total, currency=report.amount.currency))
    if history.last(OrderCancelled):
        return None
    return OrderCancelled(
        order_id=report.order_id,
        lines=tuple(OrderedPieces(product_id=one.product_id, quantity=one.quantity) for one in report.lines),
        amount=report.total,
        left=(),
        total=Money(amount=0, currency=report.total.currency),
        by=report.asked_by,
        reason=report.reason,
    )


def _refunds(history: History) -> dict[str, Money]:
    reports = (one.event for one in history if isinstance(one.event, OrderRefundReported))
    return {one.refund_id: one.amount for one in reports}
