"""Sends what was decided: by e-mail, claimed before it is sent, and as a card on the site."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from mesh import Mesh, Received, Retry, Service
from mesh.channels import ChannelName
from mesh.errors import Conflict
from mesh.events.cart import CartClosed, CartConverted
from mesh.events.offer import (
    Card,
    OfferClaimed,
    OfferDecided,
    OfferDeferred,
    OfferFailed,
    OfferSent,
    OfferWithdrawn,
)
from mesh.history import History
from mesh.observability.tracing import child_trace
from mesh.profiles import PROFILES
from mesh.publish import Change, Draft
from notifications.channels.delivery_state import DeliveryState, delivery_state
from notifications.channels.email_message import recipient
from notifications.channels.mailer import Mailer, Result, failed, open_mailer
from notifications.render_pool import TemplateError
from notifications.run import run_fields
from notifications.shopper_profile import ShopperProfile
from notifications.template_variables import cart_url

service = Service(
    "channels",
    publishes=(OfferClaimed, OfferSent, OfferDeferred, OfferFailed, OfferWithdrawn),
    views=(PROFILES,),
    reads_personal_data=True,
)

REDELIVERED_AFTER = timedelta(seconds=10)
"""How long after a crash another process gets the unacknowledged messages."""
READS = 10
"""How often a cart is read again because something happened to it between reading and claiming."""


@service.resource
async def start_mailer() -> AsyncIterator[Mailer]:
    """Mail connections and render workers, warm before the first offer."""
    async with open_mailer() as mailer:
        yield mailer


@service.on(OfferDecided, concurrency=64, ack_wait=REDELIVERED_AFTER)
async def send_mail(received: Received[OfferDecided], mesh: Mesh, mailer: Mailer) -> AsyncIterator[Change]:
    """Claim the offer, send it by e-mail, and record what became of it. Never sends twice."""
    decided = received.event
    if decided.outcome != "approved" or "email" not in decided.channels:
        return
    with mailer.alone(decided.offer_id):
        for turn in range(READS):
            try:
                for change in await _try_mail(received, mesh, mailer):
                    yield change
            except Conflict:
                await asyncio.sleep(0.005 * (turn + 1))
            else:
                return
    raise Retry("the cart keeps changing", after=timedelta(milliseconds=200))


@service.on(OfferDecided, concurrency=32, ack_wait=REDELIVERED_AFTER)
async def show_card(received: Received[OfferDecided], mesh: Mesh, mailer: Mailer) -> AsyncIterator[Change]:
    """Show the offer on the site, as plain text in the shopper's language."""
    decided = received.event
    if decided.outcome != "approved" or "onsite" not in decided.channels:
        return
    history, profile = await mailer.read(decided, mesh)
    state = delivery_state(received, history, "onsite")
    if state.settled:
        return
    if state.bought:
        yield _withdrawn(decided, "onsite", f"bought before it was shown: order {state.bought}")
        return
    try:
        rendered = await mailer.rendered(decided, profile, history)
    except TemplateError as error:
        yield failed(decided, "onsite", str(error))
        return
    card = Card(
        title=rendered.card.title,
        body=rendered.card.body,
        action=rendered.card.action,
        url=cart_url(decided, mailer.shop),
        coupon=decided.coupon,
    )
    yield OfferSent(
        cart_id=decided.cart_id,
        visitor_id=decided.visitor_id,
        offer_id=decided.offer_id,
        channel="onsite",
        card=card,
        **run_fields(decided),
    )
    for condition in history.unchanged(CartConverted, CartClosed):
        yield condition


async def _try_mail(received: Received[OfferDecided], mesh: Mesh, mailer: Mailer) -> list[Change]:
    """The record of one attempt. Raises Retry where the next one is later, Conflict where to read again."""
    decided = received.event
    history, profile = await mailer.read(decided, mesh)
    state = delivery_state(received, history, "email")
    claim = state.unanswered
    if state.settled:
        return []
    if claim and not mailer.is_mine(claim.id):
        crashed = failed(decided, "email", "unknown after a crash; not sent twice")
        return [crashed, *history.unchanged(OfferSent, OfferFailed, OfferDeferred)]
    refusal = None if claim and mailer.result(claim.id) else _refusal(decided, state, profile)
    if refusal:
        return [refusal]
    if state.until and (left := state.until - datetime.now(UTC)) > timedelta(0):
        raise Retry("deferred", after=left)
    claim_id = claim.id if claim else await _claim(received, profile, history, state.attempt, mesh, mailer)
    result = mailer.result(claim_id) or await _send(decided, profile, history, claim_id, state, mailer)
    if isinstance(result, OfferDeferred):
        await mesh.publish(Draft(event=result, id=f"{claim_id}-deferred"))
        raise Retry(result.reason, after=max(result.until - datetime.now(UTC), timedelta(0)))
    return [result]


def _refusal(decided: OfferDecided, state: DeliveryState, profile: ShopperProfile) -> Change | None:
    """Why it must not be sent after all, if anything has changed since the decision."""
    if state.bought:
        return _withdrawn(decided, "email", f"bought before it was sent: order {state.bought}")
    if "email" in profile.unsubscribed or profile.consent.get("email") is False:
        return _withdrawn(decided, "email", "unsubscribed before it was sent")
    if recipient(profile.email) is None:
        reason = "the e-mail address is none that can be written to" if profile.email else "the e-mail address is gone"
        return failed(decided, "email", reason)
    return None


async def _claim(
    received: Received[OfferDecided],
    profile: ShopperProfile,
    history: History,
    attempt: int,
    mesh: Mesh,
    mailer: Mailer,
) -> str:
    """Take the offer on condition that nobody else did and that the shopper did not buy; render it meanwhile.

    The claim's id is this try's own: were it derived, a second process would take the first one's for its own.
    """
    decided, claim_id = received.event, uuid4().hex
    mailer.claimed(claim_id)
    claimed = OfferClaimed(
        cart_id=decided.cart_id,
        offer_id=decided.offer_id,
        channel="email",
        attempt=attempt,
        **run_fields(decided),
    )
    conditions = history.unchanged(OfferClaimed, CartConverted, CartClosed)
    draft = Draft(event=claimed, id=claim_id, traceparent=child_trace(received.traceparent))
    claiming, _ = await asyncio.gather(
        mesh.publish(draft, *conditions), mailer.rendered(decided, profile, history), return_exceptions=True
    )
    if isinstance(claiming, BaseException):
        raise claiming
    return claim_id


async def _send(
    decided: OfferDecided,
    profile: ShopperProfile,
    history: History,
    claim_id: str,
    state: DeliveryState,
    mailer: Mailer,
) -> Result:
    attempt = state.unanswered.event.attempt if state.unanswered else state.attempt
    try:
        rendered = await mailer.rendered(decided, profile, history)
    except TemplateError as error:
        return failed(decided, "email", str(error))
    return await mailer.send(decided, recipient(profile.email) or "", rendered, claim_id, attempt)


def _withdrawn(decided: OfferDecided, channel: ChannelName, reason: str) -> OfferWithdrawn:
    return OfferWithdrawn(
        cart_id=decided.cart_id, offer_id=decided.offer_id, channel=channel, reason=reason, **run_fields(decided)
    )
