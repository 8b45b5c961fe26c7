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
from mesh.publish import Change, Draft
from notifications.channels.letter import recipient
from notifications.channels.post import Post, Result, post_office
from notifications.channels.standing import Standing, standing
from notifications.content import cart_url
from notifications.person import Person
from notifications.render import TemplateError

service = Service(
    "channels",
    publishes=(OfferClaimed, OfferSent, OfferDeferred, OfferFailed, OfferWithdrawn),
    reads_personal_data=True,
)

TAKEN_OVER = timedelta(seconds=10)
"""How long after a crash another process takes over what was in hand."""
READS = 10
"""How often a cart is read again because something happened to it between reading and claiming."""


@service.resource
async def open_post() -> AsyncIterator[Post]:
    """Mail connections and render workers, warm before the first offer."""
    async with post_office() as post:
        yield post


@service.on(OfferDecided, concurrency=64, ack_wait=TAKEN_OVER)
async def send_mail(received: Received[OfferDecided], mesh: Mesh, post: Post) -> AsyncIterator[Change]:
    """Claim the offer, send it by e-mail, and record what became of it. Never sends twice."""
    decided = received.event
    if decided.outcome != "approved" or "email" not in decided.channels:
        return
    with post.alone(decided.offer_id):
        for turn in range(READS):
            try:
                for change in await _try_mail(received, mesh, post):
                    yield change
            except Conflict:
                await asyncio.sleep(0.005 * (turn + 1))
            else:
                return
    raise Retry("the cart keeps changing", after=timedelta(milliseconds=200))


@service.on(OfferDecided, concurrency=32, ack_wait=TAKEN_OVER)
async def show_card(received: Received[OfferDecided], mesh: Mesh, post: Post) -> AsyncIterator[Change]:
    """Show the offer on the site, as plain text in the shopper's language."""
    decided = received.event
    if decided.outcome != "approved" or "onsite" not in decided.channels:
        return
    story, who = await post.read(decided, mesh)
    so_far = standing(received, story, "onsite")
    if so_far.settled:
        return
    if so_far.bought:
        yield _withdrawn(decided, "onsite", f"bought before it was shown: order {so_far.bought}")
        return
    try:
        rendered = await post.rendered(decided, who, story)
    except TemplateError as error:
        yield OfferFailed(cart_id=decided.cart_id, offer_id=decided.offer_id, channel="onsite", reason=str(error))
        return
    card = Card(
        title=rendered.card.title,
        body=rendered.card.body,
        action=rendered.card.action,
        url=cart_url(decided, post.shop),
        coupon=decided.coupon,
    )
    yield OfferSent(
        cart_id=decided.cart_id,
        visitor_id=decided.visitor_id,
        offer_id=decided.offer_id,
        channel="onsite",
        card=card,
    )
    for condition in story.unchanged(CartConverted, CartClosed):
        yield condition


async def _try_mail(received: Received[OfferDecided], mesh: Mesh, post: Post) -> list[Change]:
    """The record of one attempt. Raises Retry where the next one is later, Conflict where to read again."""
    decided = received.event
    story, who = await post.read(decided, mesh)
    so_far = standing(received, story, "email")
    claim = so_far.unanswered
    if so_far.settled:
        return []
    if claim and not post.is_mine(claim.id):
        crashed = post.failed(decided, "unknown after a crash; not sent twice")
        return [crashed, *story.unchanged(OfferSent, OfferFailed, OfferDeferred)]
    refusal = None if claim and post.result(claim.id) else _refusal(decided, so_far, who)
    if refusal:
        return [refusal]
    if so_far.until and (left := so_far.until - datetime.now(UTC)) > timedelta(0):
        raise Retry("deferred", after=left)
    claim_id = claim.id if claim else await _rendered_and_claimed(received, who, story, so_far.attempt, mesh, post)
    result = post.result(claim_id) or await _send(decided, who, story, claim_id, so_far, post)
    if isinstance(result, OfferDeferred):
        await mesh.publish(Draft(event=result, id=f"{claim_id}-deferred"))
        raise Retry(result.reason, after=max(result.until - datetime.now(UTC), timedelta(0)))
    return [result]


def _refusal(decided: OfferDecided, so_far: Standing, who: Person) -> Change | None:
    """Why it must not be sent after all, if anything has changed since the decision."""
    if so_far.bought:
        return _withdrawn(decided, "email", f"bought before it was sent: order {so_far.bought}")
    if "email" in who.unsubscribed or who.consent.get("email") is False:
        return _withdrawn(decided, "email", "unsubscribed before it was sent")
    if recipient(who.email) is None:
        reason = "the e-mail address is none that can be written to" if who.email else "the e-mail address is gone"
        return OfferFailed(cart_id=decided.cart_id, offer_id=decided.offer_id, channel="email", reason=reason)
    return None


async def _rendered_and_claimed(
    received: Received[OfferDecided], who: Person, story: History, attempt: int, mesh: Mesh, post: Post
) -> str:
    """Take the offer on condition that nobody else did and that the shopper did not buy; render it meanwhile.

    The claim's id is this try's own: were it derived, a second process would take the first one's for its own.
    """
    decided, claim_id = received.event, uuid4().hex
    post.claimed(claim_id)
    claimed = OfferClaimed(cart_id=decided.cart_id, offer_id=decided.offer_id, channel="email", attempt=attempt)
    conditions = story.unchanged(OfferClaimed, CartConverted, CartClosed)
    draft = Draft(event=claimed, id=claim_id, traceparent=child_trace(received.traceparent))
    claiming, _ = await asyncio.gather(
        mesh.publish(draft, *conditions), post.rendered(decided, who, story), return_exceptions=True
    )
    if isinstance(claiming, BaseException):
        raise claiming
    return claim_id


async def _send(
    decided: OfferDecided, who: Person, story: History, claim_id: str, so_far: Standing, post: Post
) -> Result:
    attempt = so_far.unanswered.event.attempt if so_far.unanswered else so_far.attempt
    try:
        rendered = await post.rendered(decided, who, story)
    except TemplateError as error:
        return post.failed(decided, str(error))
    return await post.send(decided, recipient(who.email) or "", rendered, claim_id, attempt)


def _withdrawn(decided: OfferDecided, channel: ChannelName, reason: str) -> OfferWithdrawn:
    return OfferWithdrawn(cart_id=decided.cart_id, offer_id=decided.offer_id, channel=channel, reason=reason)
