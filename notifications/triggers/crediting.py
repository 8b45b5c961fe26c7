"""Crediting: which confirmed orders followed an offer that was about no cart.

Of left carts the service `carts` knows that by the order's cart. Here it is the newest offer of any journey that the
shopper got before the order; an order that was credited through its cart counts once, there.
"""

from datetime import timedelta
from functools import partial

import msgspec

from mesh import Mesh, Received, Unchanged
from mesh.events.cart import CartRecovered
from mesh.events.contact import Contact, ContactReserved
from mesh.events.offer import OfferRecovered, OfferSent
from mesh.events.order import OrderConfirmed
from mesh.events.trigger import TriggerChecked
from mesh.profiles import names_of, newest_of_names, read_profile
from mesh.publish import Change
from mesh.settings import read
from notifications.journeys import Journey
from notifications.triggers.found import read_log, side_by_side, subject_of

MOST_READ = 500
"""How many orders one commit takes up at most."""


class CreditSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`attribution` is how long after an offer an order counts as won by it, as for carts."""

    attribution: timedelta = timedelta(days=7)


class CreditedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that an offer won, and the condition that no other was credited to the same run meanwhile."""

    recovered: OfferRecovered
    condition: Unchanged


class Credited(msgspec.Struct, frozen=True, kw_only=True):
    """The orders that a journey's offers won, as changes, and the last sequence that was read."""

    changes: tuple[Change, ...]
    upto: int


async def credited_orders(journey: Journey, checked: TriggerChecked, mesh: Mesh) -> Credited | None:
    """The next confirmed orders of this region; None where there is none."""
    orders: list[Received[OrderConfirmed]] = []
    async for one in read_log(mesh, OrderConfirmed, after=checked.orders, since=checked.begun):
        if len(orders) == MOST_READ:
            break
        orders.append(one)
    if not orders:
        return None
    won = await side_by_side(partial(_won, journey, mesh, read(CreditSettings).attribution), orders)
    once = {one.recovered.offer_id: one for one in reversed(won)}  # an offer wins one order: the first
    changes = tuple(change for one in once.values() for change in (one.recovered, one.condition))
    return Credited(changes=changes, upto=orders[-1].sequence)


async def _won(
    journey: Journey, mesh: Mesh, attribution: timedelta, order: Received[OrderConfirmed]
) -> CreditedOrder | None:
    """The order as recovered, where the last offer before it was one of this journey and reached the shopper."""
    bought = order.event
    person = await read_profile(mesh, bought.visitor_id, names_of(bought.customer_id))
    kept = await newest_of_names(mesh, ContactReserved, person.digests)
    contacts: list[Contact] = [one for found in kept.values() if found for one in found.event.recent]
    last = max((one for one in contacts if one.at <= order.event_time), key=lambda one: one.at, default=None)
    if last is None or last.journey != journey.name or order.event_time - last.at > attribution:
        return None
    if bought.cart_id and await _is_credited(bought.cart_id, bought.order_id, mesh):
        return None
    for visitor in person.visitors:
        key = subject_of(journey.trigger, journey.name, visitor)
        history = await mesh.history(key, OfferSent, OfferRecovered)
        sent = next((one.event for one in history.of(OfferSent) if one.event.offer_id == last.offer_id), None)
        if sent is None:
            continue
        known = [one.event for one in history.of(OfferRecovered)]
        if any(one.offer_id == last.offer_id or one.order_id == bought.order_id for one in known):
            return None
        recovered = OfferRecovered(
            cart_id=key,
            visitor_id=bought.visitor_id or sent.visitor_id,
            order_id=bought.order_id,
            offer_id=last.offer_id,
            value=bought.total,
        )
        return CreditedOrder(recovered=recovered, condition=history.unchanged(OfferRecovered)[0])
    return None


async def _is_credited(cart_id: str, order_id: str, mesh: Mesh) -> bool:
    """Whether an offer for the order's cart has won it."""
    history = await mesh.history(cart_id, CartRecovered)
    return any(one.event.order_id == order_id for one in history.of(CartRecovered))
