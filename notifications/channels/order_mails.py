"""Order mails: what happened to an order, written to its buyer once.

Nobody asked for offers by ordering, and nobody refuses these mails by refusing offers: consent, frequency caps, quiet
hours and holdouts do not concern them, nor do suppressed addresses and pauses (decision 43). In this order, as with
offers: wait for a connection; store the claim; hand the mail over. Only between the claim and the server's answer is
the fate of a mail unknown to others.
"""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec

from mesh import Mesh, Received, Retry, Unchanged
from mesh.errors import Conflict
from mesh.events.mail import MailAdvanced
from mesh.publish import Change, Draft
from notifications.channels.attempts import REMEMBERED
from notifications.channels.delivery_errors import Undelivered, Unknown, reason_of
from notifications.channels.email_message import compose_transactional, recipient
from notifications.channels.mailer import Mailer
from notifications.channels.order_occasion import OrderEvent, OrderMail, mail_of
from notifications.render_pool import TemplateError
from notifications.sending_pauses import domain_of

if TYPE_CHECKING:
    from notifications.channels.smtp import Envelope

AT_ONCE = timedelta(milliseconds=50)
GIVEN_UP_AFTER = timedelta(days=3)
"""How long a mail server may be away before what happened is no news any more."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The newest state of a mail, by the id of its event and its place; none yet at place 0."""

    id: str
    sequence: int
    state: MailAdvanced


class OrderMails:
    """Sends the mails about orders with a mailer, and keeps the result of each claim of this process."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer
        self._results: OrderedDict[str, MailAdvanced | None] = OrderedDict()
        """By the id of a claim of this process; None: nothing was handed over under it yet."""

    async def send(self, received: Received[OrderEvent], mesh: Mesh) -> list[Change]:
        """Send the mail that an event asks for, and return the record. Raises Retry where the next try is later."""
        mail = await mail_of(received, mesh, self._mailer.renderer.shop)
        if mail is None:
            return []
        with self._mailer.attempts.alone(mail.mail_id):
            known = await _known(mail, mesh)
            ended = self._ended(known)
            if ended is None:
                ended = await self._try(mail, known, received.stored, mesh)
            return await _recorded(ended, mesh)

    def _ended(self, known: Known) -> list[Change] | None:
        """What is to be recorded without sending anything; None where the mail is to be sent now."""
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

    async def _try(self, mail: OrderMail, known: Known, since: datetime, mesh: Mesh) -> list[Change]:
        if (to := recipient(mail.email)) is None:
            return _record(known, _failed(known.state, "the e-mail address is none that can be written to"))
        try:
            rendered, revision = await self._mailer.renderer.rendered_in_force(mail.template, mail.locale, mail.data)
            async with self._mailer.envelope(to, "order", mail.mail_id) as envelope:
                if not known.sequence or known.state.outcome != "claimed":
                    known = await self._claim(known, revision, mesh)
                message = compose_transactional(
                    rendered,
                    to=to,
                    key=mail.mail_id,
                    settings=self._mailer.mail,
                    more=self._mailer.naming(to, "order", mail.mail_id),
                )
                return _record(known, await self._hand_over(message, envelope, known, since))
        except TemplateError as error:
            return _record(known, _failed(known.state, str(error)))
        except Undelivered as undelivered:  # nothing was claimed
            return _record(known, self._undelivered(known.state, undelivered, since))

    async def _claim(self, known: Known, revision: int | None, mesh: Mesh) -> Known:
        """Take the mail, on condition that nobody else did. The claim's id is this try's own."""
        named = uuid4().hex
        self._results[named] = None
        if len(self._results) > REMEMBERED:
            self._results.popitem(last=False)
        claim = msgspec.structs.replace(
            known.state, outcome="claimed", attempt=known.state.attempt + 1, template_revision=revision, until=None
        )
        try:
            (stored,) = await mesh.publish(Draft(event=claim, id=named), _after(known))
        except Conflict:
            raise Retry("another process sends it right now", after=AT_ONCE) from None
        return Known(id=named, sequence=stored.sequence, state=claim)

    async def _hand_over(self, message: bytes, envelope: "Envelope", claim: Known, since: datetime) -> MailAdvanced:
        """Hand it over under a claim, and say what became of it. The result is remembered before it is stored."""
        self._results[claim.id] = _failed(claim.state, "unknown: stopped while it was being handed over")
        try:
            await envelope.hand_over(message)
            result = msgspec.structs.replace(claim.state, outcome="sent", reason="", domain=domain_of(envelope.to))
        except Unknown as unknown:
            result = _failed(claim.state, f"unknown: {reason_of(str(unknown))}; not sent twice")
        except Undelivered as undelivered:
            result = self._undelivered(claim.state, undelivered, since)
        self._results[claim.id] = result
        return result

    def _undelivered(self, state: MailAdvanced, undelivered: Undelivered, since: datetime) -> MailAdvanced:
        """What becomes of a mail that the server did not take: deferred to a later attempt, or failed."""
        reason, attempt = reason_of(str(undelivered)), state.attempt + (state.outcome != "claimed")
        until = datetime.now(UTC) + self._mailer.attempts.pause(attempt)
        if not undelivered.again or until - since > GIVEN_UP_AFTER:
            return _failed(state, reason)
        return msgspec.structs.replace(state, outcome="deferred", attempt=attempt, reason=reason, until=until)


async def _known(mail: OrderMail, mesh: Mesh) -> Known:
    if last := await mesh.last(MailAdvanced, mail.mail_id):
        return Known(id=last.id, sequence=last.sequence, state=last.event)
    none = MailAdvanced(
        mail_id=mail.mail_id, order_id=mail.order_id, template=mail.template, outcome="deferred", attempt=0
    )
    return Known(id="", sequence=0, state=none)


def _record(known: Known, result: MailAdvanced) -> list[Change]:
    """The mail's next state, on condition that it is still in the one before."""
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
