"""Delivery state: how far an offer has come in one channel, read from its cart's history."""

from datetime import datetime

import msgspec

from mesh.channels import ChannelName
from mesh.envelope import Received
from mesh.events.cart import CartClosed, CartConverted, CartUpdated
from mesh.events.offer import OfferClaimed, OfferDecided, OfferDeferred, OfferFailed, OfferSent, OfferWithdrawn
from mesh.history import History

ENDS = (OfferSent, OfferFailed, OfferWithdrawn)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The right to send an offer, once: its event's id and the number of the attempt."""

    id: str
    attempt: int


class DeliveryState(msgspec.Struct, frozen=True, kw_only=True):
    """`settled`: nothing more will happen. `bought`: the order that came after the decision.

    `changed`: the cart was changed or emptied after it.
    `unanswered`: a claim whose sending has no record. `attempt` is the next one's number, not before `until`.
    """

    settled: bool
    bought: str | None
    changed: bool
    unanswered: Received[OfferClaimed] | None
    attempt: int
    until: datetime | None


def delivery_state(decided: Received[OfferDecided], history: History, channel: ChannelName) -> DeliveryState:
    """The state as of `history` (of the kinds that `reading` reads)."""
    own = [
        one
        for one in history
        if isinstance(one.event, OfferClaimed | OfferDeferred | OfferSent | OfferFailed | OfferWithdrawn)
        and (one.event.offer_id, one.event.channel) == (decided.event.offer_id, channel)
    ]
    claims = [one for one in own if isinstance(one.event, OfferClaimed)]
    deferred = {one.event.attempt: one.event.until for one in own if isinstance(one.event, OfferDeferred)}
    unanswered = [one for one in claims if one.event.attempt not in deferred]
    orders = [
        one.event.order_id
        for one in history
        if isinstance(one.event, CartConverted | CartClosed) and one.sequence > decided.sequence
    ]
    attempts = [*deferred, *(one.event.attempt for one in claims)]
    return DeliveryState(
        settled=any(isinstance(one.event, ENDS) for one in own),
        bought=orders[0] if orders else None,
        changed=any(one.sequence > decided.sequence for one in history.of(CartUpdated)),
        unanswered=unanswered[-1] if unanswered else None,
        attempt=max(attempts, default=0) + 1,
        until=max(deferred.values(), default=None),
    )
