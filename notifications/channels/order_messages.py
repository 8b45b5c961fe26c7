"""Order messages: what happened to an order, written to its buyer once in each channel.

Nobody asked for offers by ordering, and nobody refuses these messages by refusing offers: consent, frequency caps,
quiet hours and holdouts do not concern them, nor do suppressed e-mail addresses and pauses (decision 43). A number that
is suppressed gets none, as after STOP no carrier delivers any (decision 69). In this order, as with offers: wait for a
connection; store the claim; hand the message over. Only between the claim and the answer is its fate unknown to others.
"""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec

from mesh import Mesh, Received, Retry, Unchanged
from mesh.channels import ChannelName
from mesh.errors import Conflict
from mesh.events.mail import MailAdvanced
from mesh.publish import Change, Draft
from notifications.channels.attempts import REMEMBERED
from notifications.channels.delivery_errors import Undelivered, Unknown, reason_of
from notifications.channels.order_channel import Addressed, OrderChannel, OrderHandover
from notifications.channels.order_occasion import OrderEvent, OrderMessage, message_of
from notifications.render_pool import Rendered, TemplateError
from notifications.suppressions import Standing, words_of
from notifications.template_variables import Shop

AT_ONCE = timedelta(milliseconds=50)
GIVEN_UP_AFTER = timedelta(days=3)
"""How long a mail server or provider may be away before what happened is no news any more."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The newest state of a message, by the id of its event and its place; none yet at place 0."""

    id: str
    sequence: int
    state: MailAdvanced


class OrderMessages:
    """Sends the messages about orders by these channels, and keeps the result of each claim of this process."""

    def __init__(self, shop: Shop, *channels: OrderChannel) -> None:
        self._shop = shop
        self._channels = {one.name: one for one in channels}
        self._results: OrderedDict[str, MailAdvanced | None] = OrderedDict()
        """By the id of a claim of this process; None: nothing was handed over under it yet."""

    async def send(self, received: Received[OrderEvent], mesh: Mesh, by: ChannelName) -> list[Change]:
        """Send what an event asks for by a channel, and return the record. Raises Retry where the next try is later."""
        channel, message = self._channels[by], await message_of(received, mesh, self._shop)
        if message is None:
            return []
        with channel.attempts.alone(message.id_in(by)):
            known = await _known(message, by, mesh)
            if not known.sequence and channel.oldest and datetime.now(UTC) - received.stored > channel.oldest:
                return []
            ended = self._ended(known)
            if ended is None:
                ended = await self._try(channel, message, known, received.stored, mesh)
            return await _recorded(ended, mesh)

    def _ended(self, known: Known) -> list[Change] | None:
        """What is to be recorded without sending anything; None where it is to be sent now."""
        state = known.state
        match state.outcome:
            case _ if not known.sequence:
                return None
            case "sent" | "failed":
                return []
            case "deferred" if state.until and (left := state.until - datetime.now(UTC)) > timedelta(0):
                raise Retry(state.reason, after=left)
            case "claimed" if known.id not in self._results:
                return _record(known, _failed(state, "unknown after a crash; not sent twice"))
            case "claimed" if result := self._results[known.id]:
                return _record(known, result)
        return None

    async def _try(
        self, channel: OrderChannel, message: OrderMessage, known: Known, since: datetime, mesh: Mesh
    ) -> list[Change]:
        addressed = await channel.addressed(message, mesh)
        try:
            found = await channel.rendered(message) if addressed else None
            if addressed is None or found is None:
                return []
            if refusal := _refusal(addressed):
                return _record(known, _failed(known.state, refusal))
            rendered, revision = found
            async with channel.handover(addressed.to or "", message.id_in(channel.name)) as handover:
                if not known.sequence or known.state.outcome != "claimed":
                    known = await self._claim(known, revision, addressed.standing, mesh)
                return _record(known, await self._hand_over(channel, rendered, handover, known, since))
        except TemplateError as error:
            return _record(known, _failed(known.state, str(error)))
        except Undelivered as undelivered:  # nothing was claimed
            return _record(known, self._undelivered(channel, known.state, undelivered, since))

    async def _claim(self, known: Known, revision: int | None, standing: Standing | None, mesh: Mesh) -> Known:
        """Take the message, on condition that nobody else did, and that its number was not suppressed meanwhile.

        The claim's id is this try's own.
        """
        named = uuid4().hex
        self._results[named] = None
        if len(self._results) > REMEMBERED:
            self._results.popitem(last=False)
        claim = msgspec.structs.replace(
            known.state, outcome="claimed", attempt=known.state.attempt + 1, template_revision=revision, until=None
        )
        conditions = [_after(known), *([standing.condition] if standing else [])]
        try:
            (stored,) = await mesh.publish(Draft(event=claim, id=named), *conditions)
        except Conflict:
            raise Retry("another process sends it, or its number is suppressed, right now", after=AT_ONCE) from None
        return Known(id=named, sequence=stored.sequence, state=claim)

    async def _hand_over(
        self, channel: OrderChannel, rendered: Rendered, handover: OrderHandover, claim: Known, since: datetime
    ) -> MailAdvanced:
        """Hand it over under a claim, and say what became of it. The result is remembered before it is stored."""
        self._results[claim.id] = _failed(claim.state, "unknown: stopped while it was being handed over")
        try:
            domain = await handover.hand_over(rendered)
            result = msgspec.structs.replace(claim.state, outcome="sent", reason="", domain=domain)
        except Unknown as unknown:
            result = _failed(claim.state, f"unknown: {reason_of(str(unknown))}; not sent twice")
        except Undelivered as undelivered:
            result = self._undelivered(channel, claim.state, undelivered, since)
        self._results[claim.id] = result
        return result

    def _undelivered(
        self, channel: OrderChannel, state: MailAdvanced, undelivered: Undelivered, since: datetime
    ) -> MailAdvanced:
        """What becomes of a message that was not taken: deferred to a later attempt, or failed."""
        reason, attempt = reason_of(str(undelivered)), state.attempt + (state.outcome != "claimed")
        until = datetime.now(UTC) + channel.attempts.pause(attempt)
        if not undelivered.again or until - since > GIVEN_UP_AFTER:
            return _failed(state, reason)
        return msgspec.structs.replace(state, outcome="deferred", attempt=attempt, reason=reason, until=until)


def _refusal(addressed: Addressed) -> str | None:
    """Why nothing may be sent there."""
    if addressed.to is None:
        return "the e-mail address is none that can be written to"
    reason = addressed.standing.reason if addressed.standing else None
    return f"nothing is sent to this number: {words_of(reason)}" if reason else None


async def _known(message: OrderMessage, channel: ChannelName, mesh: Mesh) -> Known:
    named = message.id_in(channel)
    if last := await mesh.last(MailAdvanced, named):
        return Known(id=last.id, sequence=last.sequence, state=last.event)
    none = MailAdvanced(
        mail_id=named,
        order_id=message.order_id,
        template=message.template,
        outcome="deferred",
        attempt=0,
        channel=channel,
    )
    return Known(id="", sequence=0, state=none)


def _record(known: Known, result: MailAdvanced) -> list[Change]:
    """The message's next state, on condition that it is still in the one before."""
    return [result, _after(known)]


def _after(known: Known) -> Unchanged:
    return Unchanged(MailAdvanced, known.state.mail_id, known.sequence)


async def _recorded(ended: list[Change], mesh: Mesh) -> list[Change]:
    """What the handler is to publish. A deferral is stored at once, and the event comes back when it is over."""
    for one in ended:
        if isinstance(one, MailAdvanced) and one.outcome == "deferred" and one.until:
            await mesh.publish(*ended)
            raise Retry(one.reason, after=max(one.until - datetime.now(UTC), timedelta(0)))
    return ended


def _failed(state: MailAdvanced, reason: str) -> MailAdvanced:
    return msgspec.structs.replace(state, outcome="failed", reason=reason, until=None)
