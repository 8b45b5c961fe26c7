"""Takes orders: each is placed once, and marked under every name of its shopper in the same commit."""

from collections.abc import AsyncIterator

from mesh import Mesh, Service, Unchanged
from mesh.accept import Sent
from mesh.errors import InvalidField, Unavailable
from mesh.events.order import OrderPlaced, PurchaseMarked, shoppers
from mesh.publish import Change, Draft

service = Service("orders", publishes=(OrderPlaced, PurchaseMarked))


@service.accepts(OrderPlaced, publishes=(PurchaseMarked,), ordered_by=("cart_id", "order_id"))
async def place_order(sent: Sent[OrderPlaced], mesh: Mesh) -> AsyncIterator[Change]:
    """An order is stored with a mark for each name of its shopper. An order id is placed once for ever."""
    placed = sent.event
    _check(placed)
    if sent.attempt > 1 and await _was_stored(sent, mesh):
        return
    yield sent.draft
    yield Unchanged(OrderPlaced, placed.order_id, 0)
    for shopper in shoppers(placed.visitor_id, placed.customer_id):
        yield Draft(event=PurchaseMarked(shopper=shopper, order_id=placed.order_id), time=sent.time)


async def _was_stored(sent: Sent[OrderPlaced], mesh: Mesh) -> bool:
    """Whether it is stored. Raises InvalidField where another event placed this order."""
    order_id = sent.event.order_id
    earlier = await mesh.last(OrderPlaced, order_id)
    if earlier is None:
        raise Unavailable(f"order {order_id} is being stored by another request")
    if earlier.id != sent.id:
        raise InvalidField("$.order_id", "this order was placed before, by an event with another id")
    return True


def _check(placed: OrderPlaced) -> None:
    if not placed.lines:
        raise InvalidField("$.lines", "an order has at least one line")
    found = {placed.total.currency, *(line.price.currency for line in placed.lines)}
    if len(found) > 1:
        raise InvalidField("$.lines", f"an order has one currency, not {' and '.join(sorted(found))}")
