"""Takes orders: over HTTP, or as pages and the shop's server report them; an order is the fold of its events."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

from mesh import Mesh, Received, Retry, Service, Unchanged
from mesh.accept import PAGE, SERVER, Refused, Sent
from mesh.errors import InvalidField, Unavailable
from mesh.events.order import (
    OrderCancellationReported,
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmationRequested,
    OrderConfirmed,
    OrderCreated,
    OrderDeliveryAddressed,
    OrderPlaced,
    OrderReaddressed,
    OrderRefunded,
    OrderRefundReported,
    OrderReportRefused,
    OrderReturned,
    PurchaseMarked,
)
from mesh.events.payment import PaymentRefunded
from mesh.events.profile import ProfileErased, ProfileErasureRequested
from mesh.events.shipment import ShipmentReturned
from mesh.personal_data import PERSONAL_KEYS
from mesh.profiles import visitor_digest
from mesh.publish import Change, Draft
from services.orders import reported
from services.orders.commands import cancelled_by_checkout, confirmed, returned_by_carrier
from services.orders.fold import KINDS, fold
from services.orders.marks import marks_of
from services.orders.write import Writer

if TYPE_CHECKING:
    from litestar import Litestar

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
        OrderCancellationReported,
        OrderRefundReported,
    ),
    buckets=(PERSONAL_KEYS,),
    secrets=("address_secret",),
    asks=("promotions",),
    port=8170,
)
STALE_READ = timedelta(milliseconds=200)
"""When to read again after a follower answered that has not applied what was just consumed."""


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
    for mark in await marks_of(report, refused.time, mesh, order_id=refused.id):
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
    for mark in await marks_of(placed, sent.time, mesh, order_id=placed.order_id):
        yield mark


@service.accepts(
    OrderConfirmed,
    by=(SERVER,),
    publishes=(OrderPlaced, PurchaseMarked, OrderReportRefused),
    ordered_by=("cart_id", "order_id"),
    check=check,
    refused=note_refused_order,
    history=True,
)
async def confirm_order(sent: Sent[OrderConfirmed], mesh: Mesh) -> AsyncIterator[Change]:
    """An order that the shop's server confirms is stored once for ever, and as placed where no page reported it."""
    confirmed = sent.event
    if sent.attempt > 1 and await _was_stored(sent, mesh):
        return
    if sent.history and confirmed.cart_id is not None:
        raise InvalidField("$.cart_id", "an order of the past names no cart: nothing of it may end a cart of today")
    yield sent.draft
    yield Unchanged(OrderConfirmed, confirmed.order_id, 0)
    placed = await mesh.last(OrderPlaced, confirmed.order_id)
    if confirmed.visitor_id and not (placed and placed.event.visitor_id == confirmed.visitor_id):
        yield Draft(event=_placed(confirmed, confirmed.visitor_id), time=sent.time)
    if sent.history:
        return  # the newest mark of a shopper says when they bought last, and must not become an older one
    for mark in await marks_of(confirmed, sent.time, mesh, order_id=confirmed.order_id):
        yield mark


@service.accepts(OrderCancellationReported, OrderRefundReported, by=(SERVER,), check=reported.check, whole=True)
async def note_report(sent: Sent[OrderCancellationReported | OrderRefundReported], mesh: Mesh) -> AsyncIterator[Change]:
    """What another system of the shop cancelled or paid back of an order is stored once, however often it is said."""
    history = await mesh.history(sent.event.order_id, *reported.KINDS)
    if reported.is_new(sent.event, history):
        yield sent.draft
        for unchanged in history.unchanged(type(sent.event)):
            yield unchanged


@service.on(OrderCancellationReported, OrderRefundReported)
async def follow_report(
    received: Received[OrderCancellationReported | OrderRefundReported], mesh: Mesh
) -> AsyncIterator[Change]:
    """An order that another system of the shop takes is cancelled as it reports, and refunded by the sum of it."""
    history = await mesh.history(received.event.order_id, *reported.KINDS)
    if all(one.sequence < received.sequence for one in history):
        raise Retry("the order cannot be read yet", after=STALE_READ)
    if event := reported.followed(received.event, history):
        yield event
        for unchanged in history.unchanged(type(event)):
            yield unchanged


@service.on(OrderConfirmationRequested)
async def confirm_held_order(received: Received[OrderConfirmationRequested], mesh: Mesh) -> AsyncIterator[Change]:
    """An order whose stock and payment are held is confirmed, unless it was cancelled meanwhile."""
    order_id = received.event.order_id
    history = await mesh.history(order_id, *KINDS)
    created = history.last(OrderCreated)
    if created is None:
        raise Retry("the order cannot be read yet", after=STALE_READ)
    if event := confirmed(fold(order_id, history), created.event.session_id):
        yield event
        for unchanged in history.unchanged(OrderConfirmed, OrderCancelled):
            yield unchanged


@service.on(OrderCancellationRequested)
async def cancel_unfinished_order(received: Received[OrderCancellationRequested], mesh: Mesh) -> AsyncIterator[Change]:
    """An order that the checkout could not finish, and whose steps are undone, is cancelled."""
    order_id = received.event.order_id
    history = await mesh.history(order_id, *KINDS)
    if history.last(OrderCreated) is None:
        raise Retry("the order cannot be read yet", after=STALE_READ)
    if event := cancelled_by_checkout(fold(order_id, history), received.event.reason):
        yield event
        for unchanged in history.unchanged(OrderCancelled):
            yield unchanged


@service.on(ShipmentReturned)
async def return_parcel(received: Received[ShipmentReturned], mesh: Mesh) -> AsyncIterator[Change]:
    """What a carrier brought back of an order is returned, as far as it was not before: the checkout pays it back."""
    order_id = received.event.order_id
    history = await mesh.history(order_id, *KINDS)
    if history.last(OrderCreated) is None:
        if await mesh.last(OrderCreated, order_id) is None:
            return  # the shop takes its orders elsewhere
        raise Retry("the order cannot be read yet", after=STALE_READ)
    if event := returned_by_carrier(fold(order_id, history), received.event):
        yield event
        for unchanged in history.unchanged(OrderReturned):
            yield unchanged


@service.on(PaymentRefunded)
async def note_refund(received: Received[PaymentRefunded], mesh: Mesh) -> AsyncIterator[Change]:
    """What was paid back for an order is a part of its history; the largest sum is the newest."""
    order_id, refunded = received.event.order_id, received.event.payment.refunded
    history = await mesh.history(order_id, OrderCreated, OrderRefunded)
    known = history.last(OrderRefunded)
    if history.last(OrderCreated) and not (known and known.event.refunded.amount >= refunded.amount):
        yield OrderRefunded(order_id=order_id, refunded=refunded)
        for unchanged in history.unchanged(OrderRefunded):
            yield unchanged


@service.on(ProfileErasureRequested, ProfileErased, reach="mesh")
async def erase_addresses(received: Received[ProfileErasureRequested | ProfileErased], mesh: Mesh) -> None:
    """Whoever is erased has ordered under their names: the keys of these orders' addresses are destroyed here."""
    match received.event:
        case ProfileErasureRequested(visitors=visitors, names=names):
            found = {*names, *map(visitor_digest, visitors)}
        case ProfileErased(visitor_ids=visitors):
            found = {*map(visitor_digest, visitors)}
    for name in sorted(found):
        for mark in await mesh.all_of(PurchaseMarked, name):
            await mesh.personal_data.destroy(mark.event.order_id)


@service.resource
async def open_writer(mesh: Mesh) -> AsyncIterator[Writer]:
    """What takes orders and commands over HTTP."""
    yield Writer(mesh)


@service.http
def app(mesh: Mesh, writer: Writer) -> "Litestar":
    """The interface for the shop's own servers."""
    from services.orders.app import build  # noqa: PLC0415  brings Litestar, which other processes do not need

    return build(mesh, writer)


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
    if earlier.id != sent.id and not sent.restated:
        raise InvalidField("$.order_id", "this order was confirmed before, by an event with another id")
    return True
