"""Standing orders: which of a shopper's orders is the last one that was neither cancelled nor paid back as a whole."""

from collections.abc import Iterable

from mesh import History, Mesh, Received
from mesh.bought_lines import all_purchases
from mesh.events.order import (
    OrderCancellationReported,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderPlaced,
    OrderRefunded,
    OrderReturned,
    PurchaseMarked,
)
from mesh.money import Money

ORDERED = (OrderPlaced, OrderCreated, OrderConfirmed)
UNDONE = (OrderCancelled, OrderCancellationReported, OrderReturned, OrderRefunded)


async def last_standing(marks: Iterable[Received[PurchaseMarked]], mesh: Mesh) -> Received[PurchaseMarked] | None:
    """The last order that stands, given the newest under each name and of each region; None where there is none.

    Only where the newest does not stand those before it are read. Raises Unavailable.
    """
    newest = sorted(marks, key=lambda one: one.event_time)
    if not newest or await stands(newest[-1], mesh):
        return newest[-1] if newest else None
    every = await all_purchases(mesh, {(one.region, one.event.shopper): one for one in newest})
    fallen = {newest[-1].event.order_id}
    for one in reversed(every):
        if one.event.order_id in fallen:
            continue
        if await stands(one, mesh):
            return one
        fallen.add(one.event.order_id)
    return None


async def stands(mark: Received[PurchaseMarked], mesh: Mesh) -> bool:
    """Whether an order is still one; one of which no more is known than the mark is. Raises Unavailable."""
    return is_standing(await read_order(mark, mesh))


async def read_order(mark: Received[PurchaseMarked], mesh: Mesh) -> History:
    """What happened to an order, of another region what has arrived. Raises Unavailable."""
    if mark.region == mesh.region:
        return await mesh.history(mark.event.order_id, *ORDERED, *UNDONE)
    return await mesh.history_elsewhere(mark.region, mark.event.order_id, "order")


def is_standing(order: History) -> bool:
    """Whether an order was neither cancelled as a whole nor paid back as a whole.

    It was paid back where as much was as it came to, or anything was after all came back that had not been cancelled.
    """
    if order.of(OrderCancellationReported) or any(not one.event.left for one in order.of(OrderCancelled)):
        return False
    refunded, total, returned = order.last(OrderRefunded), total_of(order), order.last(OrderReturned)
    if refunded is None or total is None:
        return True
    cancelled = order.last(OrderCancelled)
    kept = cancelled.event.total if cancelled else total
    came_back = returned is not None and _covers(returned.event.total, kept)
    return not (came_back or _covers(refunded.event.refunded, total))


def total_of(order: History) -> Money | None:
    """What an order came to when it was placed; None where that is not known."""
    return next((one.event.total for one in order if isinstance(one.event, ORDERED)), None)


def _covers(amount: Money, of: Money) -> bool:
    return amount.currency == of.currency and amount.amount >= of.amount
