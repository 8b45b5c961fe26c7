"""Takes orders: what pages report of them stops offers, what the shop's server confirms counts as revenue."""

from collections.abc import AsyncIterator
from datetime import datetime

from mesh import Mesh, Service, Unchanged
from mesh.accept import PAGE, SERVER, Refused, Sent
from mesh.errors import InvalidField, Unavailable
from mesh.events.order import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderDeliveryAddressed,
    OrderPlaced,
    OrderReaddressed,
    OrderRefunded,
    OrderReportRefused,
    OrderReturned,
    PurchaseMarked,
)
from mesh.events.profile import ProfileLinked
from mesh.profiles import digests_of
from mesh.publish import Change, Draft

service = Service(
    "orders",
    publishes=(
        OrderPlaced,
        OrderReportRefused,
        OrderConfirmed,
        PurchaseMarked,
        OrderCreated,
        OrderDeliveryAddressed,
        OrderReaddressed,
        OrderCancelled,
        OrderReturned,
        OrderRefunded,
    ),
)


def check(order: OrderPlaced | OrderConfirmed) -> OrderPlaced | OrderConfirmed:
    """The order itself. Raises InvalidField for one without lines, or with several currencies."""
    if not order.lines:
        raise InvalidField("$.lines", "an order has at least one line")
    found = {order.total.currency, *(line.price.currency for line in order.lines)}
    if len(found) > 1:
        raise InvalidField("$.lines", f"an order has one currency, not {' and '.join(sorted(found))}")
    return order


async def note_refused_order(refused: Refused[OrderPlaced | OrderConfirmed], mesh: Mesh) -> AsyncIterator[Change]:
    """A refused order says for certain that its shopper bought: no offer of theirs may be sent any more."""
    whose = {name: refused.fields.get(name) for name in ("visitor_id", "cart_id", "customer_id")}
    if not any(whose.values()):
        return
    report = OrderReportRefused(report_id=refused.id, path=refused.path, reason=refused.reason[:512], **whose)
    yield Draft(event=report, id=refused.id, time=refused.time)
    for mark in await _marks(report, refused.time, mesh, order_id=refused.id):
        yield mark


@service.accepts(
    OrderPlaced,
    by=(PAGE, SERVER),
    publishes=(PurchaseMarked, OrderReportRefused),
    ordered_by=("cart_id", "order_id"),
    check=check,
    refused=note_refused_order,
)
async def place_order(sent: Sent[OrderPlaced], mesh: Mesh) -> AsyncIterator[Change]:
    """An order that is reported is stored with a mark for each name of its shopper; reported again it is not.

    Reports exclude nothing: whoever reports an order number beforehand keeps nobody from reporting or confirming it.
    """
    placed = sent.event
    known = await mesh.last(OrderPlaced, placed.order_id)
    if known and known.id != sent.id and _says_nothing_new(placed, known.event):
        return
    yield sent.draft
    for mark in await _marks(placed, sent.time, mesh, order_id=placed.order_id):
        yield mark


@service.accepts(
    OrderConfirmed,
    by=(SERVER,),
    publishes=(OrderPlaced, PurchaseMarked, OrderReportRefused),
    ordered_by=("cart_id", "order_id"),
    check=check,
    refused=note_refused_order,
)
async def confirm_order(sent: Sent[OrderConfirmed], mesh: Mesh) -> AsyncIterator[Change]:
    """An order that the shop's server confirms is stored once for ever, and as placed where no page reported it."""
    confirmed = sent.event
    if sent.attempt > 1 and await _was_stored(sent, mesh):
        return
    yield sent.draft
    yield Unchanged(OrderConfirmed, confirmed.order_id, 0)
    reported = await mesh.last(OrderPlaced, confirmed.order_id)
    if confirmed.visitor_id and not (reported and reported.event.visitor_id == confirmed.visitor_id):
        yield Draft(event=_placed(confirmed, confirmed.visitor_id), time=sent.time)
    for mark in await _marks(confirmed, sent.time, mesh, order_id=confirmed.order_id):
        yield mark


def _placed(confirmed: OrderConfirmed, visitor_id: str) -> OrderPlaced:
    return OrderPlaced(
        order_id=confirmed.order_id,
        visitor_id=visitor_id,
        lines=confirmed.lines,
        total=confirmed.total,
        cart_id=confirmed.cart_id,
        session_id=confirmed.session_id,
        customer_id=confirmed.customer_id,
        coupon=confirmed.coupon,
        by=SERVER,
    )


async def _marks(
    order: OrderPlaced | OrderConfirmed | OrderReportRefused, time: datetime, mesh: Mesh, *, order_id: str
) -> list[Draft]:
    """The purchase under every name of its shopper, also those by which the device was identified."""
    linked = await mesh.last(ProfileLinked, order.visitor_id) if order.visitor_id else None
    known = (*linked.event.names, *linked.event.unproven) if linked else ()
    names = digests_of(order.visitor_id, order.customer_id, known)
    lines = () if isinstance(order, OrderReportRefused) else order.lines
    bought: dict[str, int] = {}
    for line in lines:
        bought[line.product_id] = bought.get(line.product_id, 0) + line.quantity
    marks = [PurchaseMarked(shopper=name, order_id=order_id, bought=bought) for name in names]
    return [Draft(event=mark, time=time) for mark in marks]


def _says_nothing_new(placed: OrderPlaced, known: OrderPlaced) -> bool:
    """Whether a report stops no offer that an earlier one of the same order has not stopped.

    One of other lines may be the real one, and the earlier a report that somebody made beforehand.
    """
    return (placed.visitor_id, placed.lines) == (known.visitor_id, known.lines) and all(
        new in (None, old) for new, old in ((placed.cart_id, known.cart_id), (placed.customer_id, known.customer_id))
    )


async def _was_stored(sent: Sent[OrderConfirmed], mesh: Mesh) -> bool:
    """Whether it is stored. Raises InvalidField where another event confirmed this order."""
    order_id = sent.event.order_id
    earlier = await mesh.last(OrderConfirmed, order_id)
    if earlier is None:
        raise Unavailable(f"order {order_id} is being stored by another request")
    if earlier.id != sent.id:
        raise InvalidField("$.order_id", "this order was confirmed before, by an event with another id")
    return True
