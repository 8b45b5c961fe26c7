"""Orders: whose last order is so long ago that they are asked to come back."""

from datetime import datetime, timedelta
from functools import partial

from mesh import Mesh, Received
from mesh.errors import MeshError
from mesh.events.offer import OfferTriggered
from mesh.events.order import OrderConfirmed, OrderPlaced
from mesh.events.trigger import TriggerChecked
from mesh.events.user import Recommendation, Recommendations, RecommendationsRequest
from mesh.observability.logs import log
from mesh.profiles import names_of, read_profile
from notifications.journeys import Journey
from notifications.triggers.found import (
    Found,
    Part,
    bought_by,
    reachable,
    read_log,
    side_by_side,
    subject_of,
    triggered_before,
)

MOST_READ = 1_000
"""How many orders are read before what was found is stored."""
PATIENCE = timedelta(seconds=2)
"""How long recommendations are waited for; a mail without any is better than none."""
Order = OrderPlaced | OrderConfirmed


async def orders_without_another(journey: Journey, checked: TriggerChecked, now: datetime, mesh: Mesh) -> Part | None:
    """The next part of the log whose orders are old enough, and whom it concerns; None where there is none."""
    orders: dict[str, Received[Order]] = {}
    upto = read = 0
    async for one in read_log(mesh, OrderPlaced, OrderConfirmed, after=checked.sequence, since=checked.since):
        if one.stored > now - journey.triggered_after or read == MOST_READ:
            break
        orders[one.event.order_id], upto, read = one, one.sequence, read + 1
    if not read:
        return None
    return Part(found=tuple(await side_by_side(partial(_found, journey, mesh), orders.values())), upto=upto, read=read)


async def _found(journey: Journey, mesh: Mesh, order: Received[Order]) -> Found | None:
    customer_id = order.event.customer_id
    visitor_id = order.event.visitor_id or await _visitor_of(customer_id, mesh)
    person = await reachable(visitor_id, customer_id, mesh) if visitor_id else None
    if person is None or visitor_id is None:
        return None
    newest = max(await bought_by(person, mesh), key=lambda one: one.event_time, default=None)
    if newest is not None and newest.event.order_id != order.event.order_id:
        return None
    key = subject_of(journey.trigger, journey.name, visitor_id)
    before, condition = await triggered_before(key, journey.name, mesh)
    if before and (before.order_id == order.event.order_id or before.left_at >= order.event_time):
        return None
    event = OfferTriggered(
        cart_id=key,
        visitor_id=visitor_id,
        journey=journey.name,
        trigger=journey.trigger,
        lines=(),
        total=order.event.total,
        left_at=order.event_time,
        due=order.event_time + journey.triggered_after,
        order_id=order.event.order_id,
        recommended=await _recommended(visitor_id, mesh),
        session_id=order.event.session_id,
        customer_id=customer_id,
    )
    return Found(event=event, condition=condition)


async def _visitor_of(customer_id: str | None, mesh: Mesh) -> str | None:
    """A device of a customer, where the order names none: what is known of the person is read by it."""
    if customer_id is None:
        return None
    return next(iter((await read_profile(mesh, names=names_of(customer_id))).visitors), None)


async def _recommended(visitor_id: str, mesh: Mesh) -> tuple[Recommendation, ...]:
    """What the shop would show them now; none where scoring does not answer."""
    try:
        request = RecommendationsRequest(visitor_id=visitor_id)
        answer = await mesh.ask("scoring", "recommend-products", request, Recommendations, within=PATIENCE)
    except MeshError as error:
        log.warning("nothing can be recommended to a shopper who is to be won back", error=str(error))
        return ()
    return answer.products
