"""Reading a decision's input: the cart's state, the shopper's profile, their contacts, orders and regions."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import msgspec

from mesh import Mesh
from mesh.channels import CHANNELS, EMAIL, ChannelName
from mesh.events.cart import CartAbandoned, CartScored, CartUpdated
from mesh.events.contact import Contact, ContactReserved
from mesh.events.interaction import CheckoutStarted
from mesh.history import History, Unchanged
from mesh.profiles import names_of, newest_of_names, nothing_bought_since, purchases_of
from notifications.cart_state import state_of
from notifications.channel_settings import not_set_up
from notifications.decision_input import AddressKnown, DecisionInput
from notifications.occasion import Occasion, Started
from notifications.shopper_profile import ShopperProfile, shopper_of
from notifications.suppressions import standing_of

_AWAY = timedelta(seconds=10)
"""What is done so much later than it was due is done after its region had been away."""
_AWAY_FOUND = timedelta(minutes=10)
"""What a trigger finds so much later: it is looked for every few minutes."""


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
    abandoned: Started,
    history: History,
    scored: CartScored | None,
    mesh: Mesh,
    *,
    late: timedelta = timedelta(0),
) -> ReadInput:
    """What the runs of an abandonment, or the run of what a trigger found, are evaluated with; `history` is its own.

    `late` is how long ago it could have been decided.
    """
    cart = abandoned.event
    profile, person = await shopper_of(cart.visitor_id, mesh, names_of(cart.customer_id))
    # People are led elsewhere while their region is away: any other one may know of a purchase.
    patience = _AWAY if isinstance(cart, CartAbandoned) else _AWAY_FOUND
    away = abandoned.stored - cart.due > patience or late > _AWAY
    regions = tuple(sorted(mesh.others if away else set(person.regions) & set(mesh.others)))
    staleness = await mesh.staleness() if regions else {}  # before the purchases: these are complete up to it then
    reserved, purchases, addresses, begun = await asyncio.gather(
        newest_of_names(mesh, ContactReserved, person.digests),
        purchases_of(mesh, person.digests),
        _addresses(profile, mesh),
        mesh.history(cart.visitor_id, CheckoutStarted),
    )
    conditions = [
        Unchanged(ContactReserved, name, one.sequence if one else 0)
        for (region, name), one in reserved.items()
        if region == mesh.region
    ]
    conditions += nothing_bought_since(purchases, mesh.region)
    state = await state_of(abandoned, history, [order for order in purchases.values() if order], person, mesh)
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
        suppressed=addresses[EMAIL.name].suppressed if EMAIL.name in addresses else None,
        addresses={name: one for name, one in addresses.items() if name != EMAIL.name},
        not_set_up=not_set_up(),
        **_personal(profile, cart),
    )
    return ReadInput(
        inputs=inputs,
        contacts=tuple(sorted(contacts.values(), key=lambda one: (one.at, one.offer_id))),
        conditions=tuple(conditions),
    )


async def _addresses(profile: ShopperProfile, mesh: Mesh) -> dict[ChannelName, AddressKnown]:
    """The addresses that are known, and why nothing is sent to one. A claim is conditional on it; a decision is not."""
    digests = {name: digest for name in CHANNELS if (digest := profile.digest(CHANNELS.require(name)))}
    found = await asyncio.gather(*(standing_of(digest, mesh) for digest in digests.values()))
    return {
        name: AddressKnown(confirmed=name != EMAIL.name or profile.confirmed, suppressed=one.reason)
        for name, one in zip(digests, found, strict=True)
    }


def _newest(history: History, field: str) -> Any:
    """What the cart's updates said last in a field that not each of them has; None: nothing."""
    given = [value for one in history.of(CartUpdated) if (value := getattr(one.event, field)) is not None]
    return given[-1] if given else None


def _personal(profile: ShopperProfile, cart: Occasion) -> dict[str, Any]:
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
