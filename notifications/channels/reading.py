"""Reading: what is known of a decided offer's cart and shopper at the moment when it is to be delivered."""

import asyncio
from datetime import datetime

import msgspec

from mesh import Mesh, Received
from mesh.bought_lines import all_purchases, bought_lines, unbought_lines
from mesh.channels import EMAIL, Channel
from mesh.events.cart import CartLine
from mesh.events.offer import (
    OfferClaimed,
    OfferDecided,
    OfferDeferred,
    OfferFailed,
    OfferSent,
    OfferTriggered,
    OfferWithdrawn,
)
from mesh.events.order import PurchaseMarked
from mesh.history import History, Unchanged
from mesh.profiles import Profile, Purchases, nothing_bought_since, purchases_of
from notifications.cart_state import shopper_state
from notifications.channels.content import current_content
from notifications.journeys.triggers import PRICE_DROPPED, has_cart
from notifications.occasion import find, kinds_of
from notifications.sending_pauses import pause_of
from notifications.shopper_profile import ShopperProfile, shopper_of
from notifications.suppressions import Standing, standing_of
from notifications.template_variables import reduced_lines, sum_of

KINDS = (OfferClaimed, OfferDeferred, OfferSent, OfferFailed, OfferWithdrawn)
"""What a delivery asks of its cart's history besides `notifications.occasion.kinds_of`.

Each kind that there is costs the servers one more answer.
"""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The cart's history (`KINDS`), its shopper, and the newest purchases under all of their names.

    `offered` is the decision with what it offers as the catalogue has it now, without the pieces that were bought since
    they were added; `bought` is an order that bought all of them. `over` says why there is nothing to write about any
    more: of a run without a cart what its shopper did since, of a price that fell that it rose again. `at`: when it was
    read, by the event loop's clock. `regions` are those where the shopper was active. `standing`: whether the channel's
    address may be written to; none where there is none. `paused`: since when offers to a mail's domain are held.
    """

    offered: OfferDecided
    history: History
    profile: ShopperProfile
    purchases: Purchases
    bought: str | None = None
    over: str = ""
    at: float
    regions: tuple[str, ...] = ()
    standing: Standing | None = None
    paused: datetime | None = None

    def bought_since(self, decided: Received[OfferDecided]) -> str | None:
        """The shopper's order, of any cart in any region, that came after the decision or bought all that is offered.

        In the decision's region by sequence; orders of other regions by time.
        """
        marks = [mark for mark in self.purchases.values() if mark is not None]
        return next((mark.event.order_id for mark in marks if _is_later(mark, decided)), self.bought)

    def may_be_written_to(self) -> list[Unchanged]:
        """The condition that nobody in this region has suppressed the address since this was read."""
        return [self.standing.condition] if self.standing else []

    def nothing_bought(self, region: str) -> list[Unchanged]:
        """The condition that nobody has bought anything in this region since this was read."""
        return nothing_bought_since(self.purchases, region)


async def read_delivery(decided: OfferDecided, mesh: Mesh, channel: Channel) -> Reading:
    """Read it for a channel. It may be some milliseconds old: what is stored on the strength of it is conditional."""
    at = asyncio.get_running_loop().time()
    history, (profile, person) = await asyncio.gather(
        mesh.history(decided.cart_id, *kinds_of(decided.trigger), *KINDS), shopper_of(decided.visitor_id, mesh)
    )
    purchases, (standing, paused) = await asyncio.gather(
        purchases_of(mesh, person.digests), _address_of(profile, channel, mesh)
    )
    bought = bought_lines(history, await all_purchases(mesh, purchases))
    lines = unbought_lines(decided.lines, bought)
    offered = await current_content(_with_lines(decided, lines), mesh)
    order_id = bought[decided.lines[0].product_id].purchase.event.order_id if decided.lines and not lines else None
    return Reading(
        offered=offered,
        history=history,
        profile=profile,
        purchases=purchases,
        bought=order_id,
        over=await _over(decided, offered, history, purchases, person, mesh),
        at=at,
        regions=tuple(person.regions),
        standing=standing,
        paused=paused,
    )


async def _over(
    decided: OfferDecided, offered: OfferDecided, history: History, purchases: Purchases, person: Profile, mesh: Mesh
) -> str:
    """Why there is nothing to write about any more; empty where there is."""
    if decided.trigger == PRICE_DROPPED and offered.lines and not reduced_lines(offered):
        return "the price rose again before it was sent"
    found = None if has_cart(decided.trigger) else find(history, decided.abandonment_id)
    if found is None or not isinstance(found.event, OfferTriggered):
        return ""
    state, detail = await shopper_state(found.event, [one for one in purchases.values() if one], person, mesh)
    return "" if state == "left" else f"{state} before it was sent: {detail}"


async def _address_of(profile: ShopperProfile, channel: Channel, mesh: Mesh) -> tuple[Standing | None, datetime | None]:
    """Whether the channel's address may be written to, and since when mails to its domain are held."""
    digest = profile.digest(channel)
    if digest is None:
        return None, None
    if channel != EMAIL or not profile.email:
        return await standing_of(digest, mesh), None
    return await asyncio.gather(standing_of(digest, mesh), pause_of(profile.email, mesh))


def _with_lines(decided: OfferDecided, lines: tuple[CartLine, ...]) -> OfferDecided:
    if lines == decided.lines:
        return decided
    return msgspec.structs.replace(decided, lines=lines, total=sum_of(lines))


def _is_later(mark: Received[PurchaseMarked], decided: Received[OfferDecided]) -> bool:
    if mark.region == decided.region:
        return mark.sequence > decided.sequence
    return mark.time > decided.stored
