"""Orders: whose last order is so long ago that they are asked to come back."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import msgspec

from mesh import Mesh, Money, Received
from mesh.events.offer import OfferTriggered
from mesh.events.order import OrderConfirmed, OrderPlaced, PurchaseMarked
from mesh.events.trigger import TriggerChecked
from mesh.profiles import names_of, read_profile
from notifications.journeys import Journey
from notifications.standing_orders import last_standing, read_order, total_of
from notifications.triggers.found import (
    Found,
    Part,
    bought_by,
    reachable,
    read_log,
    recommended_to,
    side_by_side,
    subject_of,
    triggered_before,
)

MOST_READ = 1_000
"""How many orders are read before what was found is stored."""
Order = OrderPlaced | OrderConfirmed


class LastOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A shopper's last order that stands."""

    order_id: str
    at: datetime
    total: Money


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
    found = await side_by_side(partial(_found, journey, mesh), orders.values())
    once = {one.event.cart_id: one for one in found}  # two orders of a shopper, one of which does not stand
    return Part(found=tuple(once.values()), upto=upto, read=read)


async def _found(journey: Journey, mesh: Mesh, order: Received[Order]) -> Found | None:
    customer_id = order.event.customer_id
    visitor_id = order.event.visitor_id or await _visitor_of(customer_id, mesh)
    person = await reachable(visitor_id, customer_id, mesh) if visitor_id else None
    if person is None or visitor_id is None:
        return None
    last = await _last_order(order, await bought_by(person, mesh), mesh)
    if last is None:
        return None
    key = subject_of(journey.trigger, journey.name, visitor_id)
    before, condition = await triggered_before(key, journey.name, mesh)
    if before and (before.order_id == last.order_id or before.left_at >= last.at):
        return None
    event = OfferTriggered(
        cart_id=key,
        visitor_id=visitor_id,
        journey=journey.name,
        trigger=journey.trigger,
        lines=(),
        total=last.total,
        left_at=last.at,
        due=order.event_time + journey.triggered_after,
        order_id=last.order_id,
        recommended=await recommended_to(visitor_id, mesh),
        session_id=order.event.session_id,
        customer_id=customer_id,
    )
    return Found(event=event, condition=condition)


async def _last_order(
    order: Received[Order], bought: Sequence[Received[PurchaseMarked]], mesh: Mesh
) -> LastOrder | None:
    """The order that nothing followed, once one has become old enough; None where another one did.

    It is that one, or one before it, where that one was cancelled or paid back: while it stood nothing was found.
    """
    own = LastOrder(order_id=order.event.order_id, at=order.event_time, total=order.event.total)
    last = await last_standing(bought, mesh)
    if last is None:
        return None if bought else own
    if last.event.order_id == own.order_id:
        return own
    if last.event_time > own.at:
        return None
    total = total_of(await read_order(last, mesh))
    return LastOrder(order_id=last.event.order_id, at=last.event_time, total=total or own.total)


async def _visitor_of(customer_id: str | None, mesh: Mesh) -> str | None:
    """A device of a customer, where the order names none: what is known of the person is read by it."""
    if customer_id is None:
        return None
    return next(iter((await read_profile(mesh, names=names_of(customer_id))).visitors), None)
