"""Reading a decision's input: the cart's state, the shopper's profile, their contacts, orders and regions."""

import asyncio
from collections.abc import Sequence
from itertools import product
from typing import Any, Literal

import msgspec

from mesh import Mesh, Received
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartScored, CartUpdated
from mesh.events.contact import Contact, ContactReserved
from mesh.events.order import PurchaseMarked, shoppers
from mesh.history import History, Unchanged
from notifications.decision_input import DecisionInput
from notifications.shopper_profile import ShopperProfile, profile_of
from notifications.shopper_regions import known


class ReadInput(msgspec.Struct, frozen=True, kw_only=True):
    """The input, the shopper's contacts, and the conditions for storing an offer: not contacted, nothing bought."""

    inputs: DecisionInput
    contacts: tuple[Contact, ...]
    conditions: tuple[Unchanged, ...]


async def read_input(
    abandoned: Received[CartAbandoned], history: History, scored: CartScored | None, mesh: Mesh
) -> ReadInput:
    """What every run of the abandonment is evaluated with. `history` is the cart's."""
    cart = abandoned.event
    personal, reserved, shopper, bought = await asyncio.gather(
        mesh.history(cart.visitor_id, "customer"),
        mesh.last(ContactReserved, cart.visitor_id),
        known(cart.visitor_id, cart.customer_id, mesh),
        _bought(cart.visitor_id, cart.customer_id, mesh),
    )
    profile = profile_of(personal)
    if profile.customer_id and profile.customer_id != cart.customer_id:
        shopper = shopper.merged(await known(cart.visitor_id, profile.customer_id, mesh))
        bought |= await _bought(cart.visitor_id, profile.customer_id, mesh)
    conditions = [Unchanged(ContactReserved, cart.visitor_id, reserved.sequence if reserved else 0)]
    conditions += [
        Unchanged(PurchaseMarked, name, order.sequence if order else 0)
        for (region, name), order in bought.items()
        if region == mesh.region
    ]
    regions = tuple(sorted(set(shopper.regions) & set(mesh.others)))
    staleness = await mesh.staleness() if regions else {}
    state = cart_state(abandoned, history, [order for order in bought.values() if order])
    contacts = reserved.event.recent if reserved else ()
    inputs = DecisionInput(
        cart=state[0],
        cart_detail=state[1],
        due=cart.due,
        total=cart.total,
        propensity=scored.propensity if scored else None,
        advice=scored.advice if scored else None,
        regions=regions,
        staleness=staleness,
        **_personal(profile, cart),
    )
    return ReadInput(inputs=inputs, contacts=contacts, conditions=tuple(conditions))


def cart_state(
    abandoned: Received[CartAbandoned], history: History, bought: Sequence[Received[PurchaseMarked]] = ()
) -> tuple[Literal["left", "moved on", "bought"], str]:
    """Where the cart stands, and why in words. `bought`: the shopper's newest orders, of any cart in any region.

    Events of this region are compared by sequence; orders of other regions by time against the cart's last update.
    """
    after = [one.event for one in history if one.sequence > abandoned.sequence]
    for event in after:
        if isinstance(event, CartConverted | CartClosed):
            return "bought", f"became order {event.order_id}"
    if any(isinstance(event, CartUpdated) for event in after):
        return "moved on", "changed after it was left"
    if any(isinstance(event, CartAbandoned) for event in after):
        return "moved on", "left again later"
    touched = [one for one in history.of(CartUpdated) if one.sequence < abandoned.sequence]
    last, since = (touched[-1].sequence, touched[-1].time) if touched else (abandoned.sequence, abandoned.event.left_at)
    for one in bought:
        if one.sequence > last if one.region == abandoned.region else one.time > since:
            return "bought", f"order {one.event.order_id} in {one.region} after the cart was filled"
    return "left", "unchanged since it was left"


async def _bought(
    visitor_id: str, customer_id: str | None, mesh: Mesh
) -> dict[tuple[str, str], Received[PurchaseMarked] | None]:
    """The newest order under each name of a shopper, by region and name: here, and what has arrived from the others."""
    sought = list(product((mesh.region, *mesh.others), shoppers(visitor_id, customer_id)))
    found = await asyncio.gather(*(mesh.last(PurchaseMarked, name, region=region) for region, name in sought))
    return dict(zip(sought, found, strict=True))


def _personal(profile: ShopperProfile, cart: CartAbandoned) -> dict[str, Any]:
    return {
        "person": profile.customer_id or cart.customer_id or cart.visitor_id,
        "email_known": profile.email is not None,
        "consent": profile.consent,
        "unsubscribed": profile.unsubscribed,
        "time_zone": profile.time_zone,
    }
