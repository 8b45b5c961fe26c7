"""Delivery: one attempt to send an offer by a channel.

In this order: wait for a turn; read cart, shopper and purchases; wait for a connection (for a mail, one on which the
server takes sender and recipient); store the claim, on condition that cart and purchases are as they were read; hand
the message over. So what happens while an offer waits for its turn still stops it, no more offers are claimed than
there are connections, and only between the claim and the answer is the fate of a message unknown to others.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from mesh import Mesh, Received, Retry, Timer
from mesh.channels import Channel, ChannelName
from mesh.envelope import derive_id
from mesh.errors import Conflict
from mesh.events.offer import (
    OfferClaimed,
    OfferDecided,
    OfferDeferred,
    OfferFailed,
    OfferSendDue,
    OfferSent,
    OfferWithdrawn,
)
from mesh.observability.tracing import child_trace
from mesh.publish import Change, Draft
from notifications.channels.attempts import Result, failed
from notifications.channels.delivery_errors import Undelivered, Unknown, reason_of
from notifications.channels.delivery_state import Claim, DeliveryState, delivery_state
from notifications.channels.late_delivery import ages_where_late, wait_for_others
from notifications.channels.quiet_delivery import quiet_hours_end
from notifications.channels.reading import Reading, read_delivery
from notifications.channels.sender import Handover, Sender
from notifications.occasion import changes_of
from notifications.render_pool import Rendered, TemplateError
from notifications.run import run_fields
from notifications.suppressions import words_of

PAUSED, QUIET = "sending to its domain is paused", "quiet hours"
PAUSED_AGAIN_AFTER = timedelta(minutes=5)
"""How often it is looked whether a pause has ended."""
LONGEST_PAUSE = timedelta(days=3)
"""How long an offer waits for a pause to end; then it would be no news any more."""
READ_AGAIN_AFTER = 1.0
"""Seconds after which what was read is read again before the claim.

Of what is younger, the claim's conditions prove that the cart is the same and nothing was bought; consent and the
catalogue are not covered by them.
"""


async def deliver(received: Received[OfferDecided], mesh: Mesh, sender: Sender) -> list[Change]:
    """The record of one attempt. Raises Retry where the next one is later, Conflict where to read again."""
    async with sender.attempts.turn():
        return await _recorded(await _attempt(received, mesh, sender), mesh)


async def _attempt(received: Received[OfferDecided], mesh: Mesh, sender: Sender) -> list[Change]:
    decided, now = received.event, datetime.now(UTC)
    ages = await ages_where_late(received, mesh, now)
    reading = await read_delivery(decided, mesh, sender.channel)
    state = delivery_state(received, reading.history, sender.channel.name)
    ended = _ended(received, state, reading, sender)
    if ended is not None:
        return ended
    waits = _waits(received, state, reading, sender, mesh, now)
    if waits is not None:
        return waits
    if wait := wait_for_others(received, state, reading, ages, now):
        if wait.again_after is None:
            return [withdrawn(decided, sender.channel.name, f"region out of date: {wait.words}")]
        raise Retry(wait.words, after=wait.again_after)
    try:
        await sender.rendered(decided, reading)  # before the connection, which others wait for
        async with sender.handover(reading.profile, decided) as handover:
            if asyncio.get_running_loop().time() - reading.at > READ_AGAIN_AFTER:
                reading = await read_delivery(decided, mesh, sender.channel)
            return await _send(received, handover, reading, mesh, sender)
    except TemplateError as error:
        return [failed(decided, sender.channel.name, str(error))]
    except Undelivered as undelivered:
        return [sender.attempts.undelivered(decided, sender.channel.name, undelivered, state.attempt)]


def _waits(
    received: Received[OfferDecided],
    state: DeliveryState,
    reading: Reading,
    sender: Sender,
    mesh: Mesh,
    now: datetime,
) -> list[Change] | None:
    """What is to be recorded where it is not the time to send; None where it is. Raises Retry for a short wait."""
    channel = sender.channel.name
    if reading.paused:
        return held_by_pause(received.event, state, reading.paused, channel)
    if state.until and (left := state.until - now) > timedelta(0):
        raise Retry("deferred", after=left)
    if until := quiet_hours_end(received, reading, sender.journeys, mesh.zones.get(mesh.region, "UTC"), now):
        return held(received.event, state, QUIET, until, channel)
    return None


async def _send(
    received: Received[OfferDecided], handover: Handover, reading: Reading, mesh: Mesh, sender: Sender
) -> list[Change]:
    """Claim, and hand the message over: the connection is here."""
    decided = received.event
    state = delivery_state(received, reading.history, sender.channel.name)
    ended = _ended(received, state, reading, sender)
    if ended is not None:
        return ended
    if sender.to(reading.profile) != handover.to:
        raise Conflict("the shopper's address has changed")
    rendered = await sender.rendered(decided, reading)
    own = state.unanswered
    claim = Claim(id=own.id, attempt=own.event.attempt) if own else await _claim(received, reading, state, mesh, sender)
    return [await _hand_over(decided, handover, rendered, claim, sender)]


async def _hand_over(
    decided: OfferDecided, handover: Handover, rendered: Rendered, claim: Claim, sender: Sender
) -> Result:
    """Hand over under a claim, and say what became of it: sent, deferred to a later attempt, or failed."""
    channel, attempts = sender.channel.name, sender.attempts
    # From here on a lost answer means "unknown", and only this memory could show it: set before, not after.
    attempts.keep(claim.id, failed(decided, channel, "unknown: stopped while it was being handed over; not sent twice"))
    try:
        handed = await handover.hand_over(decided, rendered)
        result: Result = OfferSent(
            cart_id=decided.cart_id,
            visitor_id=decided.visitor_id,
            offer_id=decided.offer_id,
            channel=channel,
            message_id=handed.message_id,
            domain=handed.domain,
            opens_counted=handed.opens_counted,
            **run_fields(decided),
        )
    except Unknown as unknown:
        result = failed(decided, channel, f"unknown: {reason_of(str(unknown))}; not sent twice")
    except Undelivered as undelivered:
        result = attempts.undelivered(decided, channel, undelivered, claim.attempt)
    attempts.keep(claim.id, result)
    return result


def _ended(
    received: Received[OfferDecided], state: DeliveryState, reading: Reading, sender: Sender
) -> list[Change] | None:
    """What is to be recorded without sending anything; None where the offer is to be sent."""
    claim = state.unanswered
    if state.settled:
        return []
    if claim and not sender.attempts.is_mine(claim.id):
        crashed = failed(received.event, sender.channel.name, "unknown after a crash; not sent twice")
        return [crashed, *reading.history.unchanged(OfferSent, OfferFailed, OfferDeferred)]
    if claim and (result := sender.attempts.result(claim.id)):
        return [result]
    refusal = _refusal(received, state, reading, sender)
    return [refusal] if refusal else None


def _refusal(received: Received[OfferDecided], state: DeliveryState, reading: Reading, sender: Sender) -> Change | None:
    """Why it must not be sent after all, if anything has changed since the decision."""
    decided, channel = received.event, sender.channel
    bought = state.bought or reading.bought_since(received)
    if bought:
        return withdrawn(decided, channel.name, f"bought before it was sent: order {bought}")
    if state.changed:
        return withdrawn(decided, channel.name, "the cart was changed before it was sent")
    if refused := _refused(reading, channel) or reading.over:
        return withdrawn(decided, channel.name, refused)
    if decided.lines and not reading.offered.lines:
        return withdrawn(decided, channel.name, "nothing in the cart can be bought any more")
    if sender.to(reading.profile) is None:
        known = reading.profile.address(channel)
        gone = "none that can be written to" if known else "gone"
        return failed(decided, channel.name, f"the {channel.needs} is {gone}")
    return None


def _refused(reading: Reading, channel: Channel) -> str | None:
    """Why the shopper, or their address, may not be written to by now."""
    if reading.standing and reading.standing.reason:
        return f"nothing is sent to this address: {words_of(reading.standing.reason)}"
    consent = reading.profile.consent.get(channel.name)
    if channel.name in reading.profile.unsubscribed or consent is False:
        return "unsubscribed before it was sent"
    if channel.explicit and not consent:
        return "not allowed any more when it was to be sent"
    return None


async def _claim(
    received: Received[OfferDecided], reading: Reading, state: DeliveryState, mesh: Mesh, sender: Sender
) -> Claim:
    """Take the offer on condition that nobody else did, that the cart is as it was and nothing was bought.

    The claim's id is this try's own: were it derived, a second process would take the first one's for its own.
    """
    decided, claim = received.event, Claim(id=uuid4().hex, attempt=state.attempt)
    sender.attempts.claimed(claim.id)
    claimed = OfferClaimed(
        cart_id=decided.cart_id,
        offer_id=decided.offer_id,
        channel=sender.channel.name,
        attempt=claim.attempt,
        **run_fields(decided),
    )
    draft = Draft(event=claimed, id=claim.id, traceparent=child_trace(received.traceparent))
    conditions = reading.history.unchanged(OfferClaimed, *changes_of(decided.trigger))
    await mesh.publish(draft, *conditions, *reading.nothing_bought(mesh.region), *reading.may_be_written_to())
    return claim


async def _recorded(ended: list[Change], mesh: Mesh) -> list[Change]:
    """What the handler is to publish. A deferral is stored at once, and the offer comes back when it is over."""
    for one in ended:
        if isinstance(one, OfferDeferred) and one.reason not in (PAUSED, QUIET):
            named = derive_id("deferred", one.offer_id, one.channel, one.attempt)
            await mesh.publish(Draft(event=one, id=named))
            raise Retry(one.reason, after=max(one.until - datetime.now(UTC), timedelta(0)))
    return ended


def held_by_pause(decided: OfferDecided, state: DeliveryState, since: datetime, channel: ChannelName) -> list[Change]:
    """Held while sending to the recipient's domain is paused, which is recorded once; tried again by a timer.

    The message is not kept waiting: thousands of them would keep those to other domains from being delivered.
    """
    now = datetime.now(UTC)
    if now - since > LONGEST_PAUSE:
        return [withdrawn(decided, channel, f"sending to its domain was paused for {LONGEST_PAUSE.days} days")]
    return held(decided, state, PAUSED, now + PAUSED_AGAIN_AFTER, channel, recorded=state.until and state.until > since)


def held(
    decided: OfferDecided,
    state: DeliveryState,
    reason: str,
    until: datetime,
    channel: ChannelName,
    *,
    recorded: object = None,
) -> list[Change]:
    """Tried again by a timer, and said unless it is `recorded` already."""
    due = OfferSendDue(
        offer_id=decided.offer_id, cart_id=decided.cart_id, visitor_id=decided.visitor_id, channel=channel
    )
    if recorded:
        return [Timer(due, until)]
    deferred = OfferDeferred(
        cart_id=decided.cart_id,
        offer_id=decided.offer_id,
        channel=channel,
        attempt=state.attempt,
        reason=reason,
        until=until,
        **run_fields(decided),
    )
    return [deferred, Timer(due, until)]


def withdrawn(decided: OfferDecided, channel: ChannelName, reason: str) -> OfferWithdrawn:
    """The offer is not delivered by this channel, because of what happened since the decision."""
    return OfferWithdrawn(
        cart_id=decided.cart_id, offer_id=decided.offer_id, channel=channel, reason=reason, **run_fields(decided)
    )
