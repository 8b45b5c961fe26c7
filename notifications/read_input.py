"""Reading a decision's input: the cart's state, the shopper's profile, their contacts, orders and regions."""

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import msgspec

from mesh import Mesh, Received
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartScored, CartUpdated
from mesh.events.contact import Contact, ContactReserved
from mesh.events.interaction import CheckoutStarted
from mesh.events.order import PurchaseMarked
from mesh.history import History, Unchanged
from mesh.profiles import address_digest, names_of, newest_of_names, nothing_bought_since, purchases_of
from notifications.decision_input import DecisionInput
from notifications.shopper_profile import ShopperProfile, shopper_of
from notifications.suppressions import standing_of

_AWAY = timedelta(seconds=10)
"""What is done so much later than it was due is done after its region had been away."""


class ReadInput(msgspec.Struct, frozen=True, kw_only=True):
    """The input, contacts of the shopper's profile, and the conditions for an offer: not contacted, nothing bought."""

    inputs: DecisionInput
    contacts: tuple[Contact, ...]
    conditions: tuple[Unchanged, ...]

    @property
    def names(self) -> list[str]:
        """The names under which the shopper's contacts are counted."""
        return [one.key for one in self.conditions if one.kind is ContactReserved]


async def read_input(
    abandoned: Received[CartAbandoned],
    history: History,
    scored: CartScored | None,
    mesh: Mesh,
    *,
    late: timedelta = timedelta(0),
) -> ReadInput:
    """What every run of the abandonment is evaluated with. `history` is the cart's.

    `late` is how long ago it could have been decided.
    """
    cart = abandoned.event
    profile, person = await shopper_of(cart.visitor_id, mesh, names_of(cart.customer_id))
    # People are led elsewhere while their region is away: any other one may know of a purchase.
    away = max(abandoned.stored - cart.due, late) > _AWAY
    regions = tuple(sorted(mesh.others if away else set(person.regions) & set(mesh.others)))
    staleness = await mesh.staleness() if regions else {}  # before the purchases: these are complete up to it then
    reserved, purchases, suppressed, begun = await asyncio.gather(
        newest_of_names(mesh, ContactReserved, person.digests),
        purchases_of(mesh, person.digests),
        _suppressed(profile.email, mesh),
        mesh.history(cart.visitor_id, CheckoutStarted),
    )
    conditions = [
        Unchanged(ContactReserved, name, one.sequence if one else 0)
        for (region, name), one in reserved.items()
        if region == mesh.region
    ]
    conditions += nothing_bought_since(purchases, mesh.region)
    state = cart_state(abandoned, history, [order for order in purchases.values() if order])
    contacts = {one.offer_id: one for kept in reserved.values() if kept for one in kept.event.recent}
    inputs = DecisionInput(
        cart=state[0],
        cart_detail=state[1],
        due=cart.due,
        total=cart.total,
        propensity=scored.propensity if scored else None,
        advice=scored.advice if scored else None,
        regions=regions,
        away=away,
        staleness=staleness,
        utc_offset=_newest(history, "utc_offset"),
        lines=cart.lines,
        device=_newest(history, "device"),
        last_purchase=max((one.time for one in purchases.values() if one), default=None),
        checkout_started=any(one.event.cart_id == cart.cart_id for one in begun.of(CheckoutStarted)),
        region_zone=mesh.zones.get(mesh.region, "UTC"),
        suppressed=suppressed,
        **_personal(profile, cart),
    )
    return ReadInput(
        inputs=inputs,
        contacts=tuple(sorted(contacts.values(), key=lambda one: (one.at, one.offer_id))),
        conditions=tuple(conditions),
    )


async def _suppressed(email: str | None, mesh: Mesh) -> str | None:
    """Why nothing is sent to an address, or None. The mail's claim is conditional on it; a decision is not."""
    return (await standing_of(address_digest(email), mesh)).reason if email else None


def cart_state(
    abandoned: Received[CartAbandoned], history: History, bought: Sequence[Received[PurchaseMarked]] = ()
) -> tuple[Literal["left", "moved on", "bought"], str]:
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


def _newest(history: History, field: str) -> Any:
    """What the cart's updates said last in a field that not each of them has; None: nothing."""
    given = [value for one in history.of(CartUpdated) if (value := getattr(one.event, field)) is not None]
    return given[-1] if given else None


def _personal(profile: ShopperProfile, cart: CartAbandoned) -> dict[str, Any]:
    return {
        "person": profile.customer_id or cart.customer_id or cart.visitor_id,
        "email_known": profile.email is not None,
        "email_confirmed": profile.confirmed,
        "consent": profile.consent,
        "unsubscribed": profile.unsubscribed,
        "time_zone": profile.time_zone,
        "customer_known": bool(profile.customer_id or cart.customer_id),
        "language": re.split("[-_]", profile.locale)[0].lower() if profile.locale else None,
    }
