"""Cart state: where the subject of a run stands: its cart as it was left, or its shopper since a trigger found them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from mesh import Mesh, Received
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.offer import OfferTriggered
from mesh.events.order import PurchaseMarked
from mesh.history import History
from mesh.profiles import Profile
from notifications.journeys.triggers import BROWSE_ABANDONED, NO_ORDER_SINCE, has_cart
from notifications.occasion import Started, find, same_kind
from notifications.standing_orders import last_standing

State = tuple[Literal["left", "moved on", "bought"], str]
"""The state, and the reason as text."""


async def state_of(
    occasion: Started,
    history: History,
    bought: Sequence[Received[PurchaseMarked]],
    person: Profile,
    mesh: Mesh,
) -> State:
    """Where the cart stands; where the run is about no cart, what its shopper did since.

    `history` is of `notifications.occasion.kinds_of`, `bought` the shopper's newest orders of any region.
    """
    event = occasion.event
    if isinstance(event, CartAbandoned):
        return cart_state(occasion, history, bought)
    if any(one.sequence > occasion.sequence for one in same_kind(history, event)):
        return "moved on", "found again later"
    if has_cart(event.trigger):
        left = find(history, event.abandonment_id or "")
        if left is None or not isinstance(left.event, CartAbandoned):
            return "moved on", "the cart is not known any more"
        return cart_state(left, history, bought)
    return await shopper_state(event, bought, person, mesh)


async def shopper_state(
    found: OfferTriggered, bought: Sequence[Received[PurchaseMarked]], person: Profile, mesh: Mesh
) -> State:
    """What a shopper did since a trigger without a cart counts: bought, filled a cart, or looked at products again.

    Orders and carts are compared by time, as they are of any region and any device. For who is to be won back an order
    that was cancelled or paid back is none.
    """
    begun = found.since or found.left_at
    later = [one for one in bought if one.event.order_id != found.order_id and one.event_time >= begun]
    if later and found.trigger == NO_ORDER_SINCE:
        last = await last_standing(bought, mesh)
        later = [last] if last and last.event.order_id != found.order_id and last.event_time >= begun else []
    for one in later:
        return "bought", f"order {one.event.order_id} in {one.region} since"
    since = found.since or found.due
    if cart := await filled_since(person, since, mesh):
        return "moved on", f"filled cart {cart} since"
    if found.trigger == BROWSE_ABANDONED:
        newest = await mesh.last(ProductViewed, found.visitor_id)
        if newest and newest.event_time > found.left_at:
            return "moved on", "looked at products again"
        return "left", "nothing put into a cart and nothing bought since"
    return "left", "nothing ordered since"


async def filled_since(person: Profile, since: datetime, mesh: Mesh) -> str | None:
    """A cart of the shopper that was changed since a moment and holds something."""
    updates = await mesh.last_of_each(CartUpdated, person.carts)
    return next((cart for cart, one in updates.items() if one.event.lines and one.event_time >= since), None)


def cart_state(
    abandoned: Received[CartAbandoned], history: History, bought: Sequence[Received[PurchaseMarked]] = ()
) -> State:
    """The cart's state, and the reason as text. `bought`: the shopper's newest orders, of any cart in any region.

    Events of this region are compared by sequence; orders of other regions by time against the cart's last update.
    What happened while the cart was being abandoned counts as what happened afterwards.
    """
    updates = history.of(CartUpdated)
    judged = next((one for one in updates if one.id == abandoned.event.update_id), None)
    for one in history:
        if isinstance(one.event, CartConverted | CartClosed) and one.sequence > (judged or abandoned).sequence:
            return "bought", f"became order {one.event.order_id}"
    if any(one.sequence > abandoned.sequence or (judged and _is_newer(one, judged)) for one in updates):
        return "moved on", "changed after it was left"
    if any(one.sequence > abandoned.sequence for one in history.of(CartAbandoned)):
        return "moved on", "left again later"
    touched = [one for one in updates if one.sequence < abandoned.sequence]
    last, since = (touched[-1].sequence, touched[-1].time) if touched else (abandoned.sequence, abandoned.event.left_at)
    for one in bought:
        if one.sequence > last if one.region == abandoned.region else one.time > since:
            return "bought", f"order {one.event.order_id} in {one.region} after the cart was filled"
    return "left", "unchanged since it was left"


def _is_newer(update: Received[CartUpdated], judged: Received[CartUpdated]) -> bool:
    """Whether an update that was stored later is also newer, and none that was overtaken on its way."""
    return update.sequence > judged.sequence and update.event_time >= judged.event_time
