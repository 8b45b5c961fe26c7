"""Marks: a purchase is noted under every name of its shopper, in one commit with the order."""

from datetime import datetime

from mesh import Mesh
from mesh.events.order import OrderConfirmed, OrderCreated, OrderPlaced, OrderReportRefused, PurchaseMarked
from mesh.events.profile import ProfileLinked
from mesh.profiles import digests_of
from mesh.publish import Draft


async def marks_of(
    order: OrderPlaced | OrderConfirmed | OrderCreated | OrderReportRefused,
    time: datetime,
    mesh: Mesh,
    *,
    order_id: str,
) -> list[Draft]:
    """The purchase under every name of its shopper, also those by which the device was identified."""
    return marks_under(await known_names(order.visitor_id, mesh), order, time, order_id=order_id)


async def known_names(visitor_id: str | None, mesh: Mesh) -> tuple[str, ...]:
    """The names by which a visitor's device was identified. Raises InvalidKey."""
    linked = await mesh.last(ProfileLinked, visitor_id) if visitor_id else None
    return (*linked.event.names, *linked.event.unproven) if linked else ()


def marks_under(
    known: tuple[str, ...],
    order: OrderPlaced | OrderConfirmed | OrderCreated | OrderReportRefused,
    time: datetime,
    *,
    order_id: str,
) -> list[Draft]:
    """The purchase under the names that are known of a device, and those that the order itself has."""
    names = digests_of(order.visitor_id, order.customer_id, known)
    lines = () if isinstance(order, OrderReportRefused) else order.lines
    bought: dict[str, int] = {}
    for line in lines:
        bought[line.product_id] = bought.get(line.product_id, 0) + line.quantity
    marks = [PurchaseMarked(shopper=name, order_id=order_id, bought=bought) for name in names]
    return [Draft(event=mark, time=time) for mark in marks]
