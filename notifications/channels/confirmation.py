"""Confirmation: one mail that asks the owner of an address whether a visitor's consent is theirs (double opt-in).

Anybody can give a visitor that they invent somebody else's address and consent, with a page's key. So the mail holds
nothing that a page sent but the choice of its language, and an address is given few of them. In this order, as with
offers: wait for a connection; read again what the visitor wants; store the request; hand the mail over.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from mesh import Mesh, Received, Retry, Unchanged
from mesh.channels import EMAIL, ChannelName
from mesh.envelope import derive_id
from mesh.errors import Conflict
from mesh.events.contact import ConfirmationFailed, ConfirmationRequested
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.observability.logs import log
from mesh.profiles import address_digest
from mesh.publish import Change
from mesh.settings import read
from notifications.channels.delivery_errors import Undelivered, Unknown, reason_of
from notifications.channels.email_message import compose_transactional, recipient
from notifications.channels.mailer import Mailer
from notifications.confirmation_token import Confirmation, link
from notifications.journeys.live import LiveJourneys
from notifications.render_pool import TemplateError
from notifications.shopper_profile import shopper_of
from notifications.suppressions import standing_of
from notifications.template_variables import confirmation_variables

if TYPE_CHECKING:
    from notifications.channels.smtp import Envelope

TEMPLATE = "confirm-address"
"""The template of these mails."""
LONGEST_WAIT = timedelta(days=30)
SHORTEST_PAUSE, LONGEST_PAUSE, AT_ONCE = timedelta(seconds=2), timedelta(hours=1), timedelta(milliseconds=50)
OLDEST = timedelta(days=1)
"""Consents that were stored longer ago are not asked about: the mail would come out of the blue."""


class ConfirmationMailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`confirm_again_after`: an address that was asked to confirm is not asked again so soon; doubled each time."""

    confirm_again_after: timedelta = timedelta(days=1)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A visitor's wish to be written to, which the owner of the address `to` has not confirmed."""

    visitor_id: str
    channel: ChannelName
    to: str
    address: str
    locale: str | None
    request: str
    asked: datetime

    def confirmation(self) -> Confirmation:
        """What the link in the mail stands for."""
        return Confirmation(
            visitor_id=self.visitor_id, channel=self.channel, address=self.address, asked=int(self.asked.timestamp())
        )


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """How often an address was asked, the sequence of the last request here, and until when it is not asked again."""

    count: int
    sequence: int
    until: datetime


class Confirmer:
    """Asks for confirmations with a mailer, where a journey in force mails confirmed addresses alone."""

    def __init__(self, mailer: Mailer, journeys: LiveJourneys) -> None:
        self._mailer, self._journeys = mailer, journeys
        self._settings = read(ConfirmationMailSettings)
        self._not_handed_over: set[str] = set()
        """Requests of this process that were stored, and whose mail the server did not take yet."""

    async def ask(self, received: Received[ConsentChanged | CustomerIdentified], mesh: Mesh) -> list[Change]:
        """Send the mail that asks for a confirmation, where one is needed; the record of it where it fails.

        Raises Retry where the mail server, or the visitor's history, is to be tried again.
        """
        wish = await self._wish(received, mesh) if self._is_wanted(mesh.region) else None
        if wish is None:
            return []
        earlier = await self._earlier(wish, mesh)
        if earlier.until > datetime.now(UTC) and wish.request not in self._not_handed_over:
            log.info("no mail asks for a confirmation: its address was sent one lately", until=str(earlier.until))
            return []
        try:
            mail = await self._mail(wish)
            async with self._mailer.envelope(wish.to, "confirmation", _mail_id(wish)) as envelope:
                await self._send(received, wish, mail, envelope, mesh)
        except TemplateError as error:
            return [_failed(wish, str(error))]
        except Unknown as unknown:
            return [_failed(wish, f"unknown: {reason_of(str(unknown))}; not sent twice")]
        except Undelivered as undelivered:
            return [self._undelivered(wish, undelivered, received.attempt)]
        return []

    async def _mail(self, wish: Wish) -> tuple[bytes, int | None]:
        """The message, and the revision of its template. Raises TemplateError."""
        data = confirmation_variables(
            self._mailer.renderer.shop, link(wish.confirmation(), self._mailer.renderer.links)
        )
        rendered, revision = await self._mailer.renderer.rendered_in_force(TEMPLATE, wish.locale, data)
        key = _mail_id(wish)
        more = self._mailer.naming(wish.to, "confirmation", key)
        return compose_transactional(rendered, to=wish.to, key=key, settings=self._mailer.mail, more=more), revision

    def _undelivered(self, wish: Wish, undelivered: Undelivered, attempt: int) -> ConfirmationFailed:
        """The record that it failed; raises Retry where it is to be tried again."""
        reason = reason_of(str(undelivered))
        if not undelivered.again:
            return _failed(wish, reason)
        pause = min(SHORTEST_PAUSE * 2 ** min(attempt - 1, 12), LONGEST_PAUSE)
        if datetime.now(UTC) + pause - wish.asked > OLDEST:
            return _failed(wish, f"gave up: {reason}")
        raise Retry(reason, after=pause)

    def _is_wanted(self, region: str) -> bool:
        journeys = [one.journey for one in self._journeys.on_in(region)]
        return any(one.double_opt_in and EMAIL.name in one.channels for one in journeys)

    async def _wish(self, received: Received[ConsentChanged | CustomerIdentified], mesh: Mesh) -> Wish | None:
        """What the visitor wants now; None where there is nothing to be confirmed."""
        visitor = received.event.visitor_id
        if datetime.now(UTC) - received.stored > OLDEST:
            return None
        history = await mesh.history(visitor, "customer")
        if not any(one.sequence >= received.sequence for one in history):
            raise Retry(
                "the visitor's history is not readable yet", after=timedelta(milliseconds=25 * received.attempt)
            )
        profile, _ = await shopper_of(visitor, mesh)
        to = recipient(profile.email)
        if to is None or profile.email is None or not profile.consent.get(EMAIL.name):
            return None
        if profile.confirmed and EMAIL.name not in profile.unsubscribed:
            return None
        if (await standing_of(address_digest(profile.email), mesh)).reason:
            return None
        return Wish(
            visitor_id=visitor,
            channel=EMAIL.name,
            to=to,
            address=address_digest(profile.email),
            locale=profile.locale,
            request=received.id,
            asked=received.stored,
        )

    async def _earlier(self, wish: Wish, mesh: Mesh) -> Earlier:
        """What the wish's address was asked so far, in any region as far as that has arrived here."""
        here = await mesh.last(ConfirmationRequested, wish.address)
        elsewhere = [await mesh.last(ConfirmationRequested, wish.address, region=one) for one in mesh.others]
        known = [one for one in (here, *elsewhere) if one is not None]
        count, sequence = max((one.event.count for one in known), default=0), here.sequence if here else 0
        if not known:
            return Earlier(count=0, sequence=sequence, until=datetime.min.replace(tzinfo=UTC))
        wait = min(self._settings.confirm_again_after * 2 ** min(count - 1, 12), LONGEST_WAIT)
        return Earlier(count=count, sequence=sequence, until=max(one.stored for one in known) + wait)

    async def _send(
        self,
        received: Received[ConsentChanged | CustomerIdentified],
        wish: Wish,
        mail: tuple[bytes, int | None],
        envelope: "Envelope",
        mesh: Mesh,
    ) -> None:
        """Look again, store the request, and hand the mail over: the connection is here."""
        message, revision = mail
        if await self._wish(received, mesh) != wish:
            raise Retry("the visitor's wish has changed", after=AT_ONCE)
        if wish.request not in self._not_handed_over:
            await self._store_request(wish, revision, mesh)
        self._not_handed_over.discard(wish.request)  # from here on its fate may be unknown
        try:
            await envelope.hand_over(message)
        except Undelivered as undelivered:
            if undelivered.again:
                self._not_handed_over.add(wish.request)
            raise

    async def _store_request(self, wish: Wish, revision: int | None, mesh: Mesh) -> None:
        """Take the address's turn, on condition that nobody else did."""
        earlier = await self._earlier(wish, mesh)
        requested = ConfirmationRequested(
            address=wish.address,
            visitor_id=wish.visitor_id,
            channel=wish.channel,
            count=earlier.count + 1,
            request=wish.request,
            template_revision=revision,
        )
        if earlier.until > datetime.now(UTC):
            raise Retry("the address was asked meanwhile", after=AT_ONCE)
        try:
            await mesh.publish(requested, Unchanged(ConfirmationRequested, wish.address, earlier.sequence))
        except Conflict:
            raise Retry("the address is being asked right now", after=AT_ONCE) from None


def _mail_id(wish: Wish) -> str:
    return derive_id("confirmation", wish.request)


def _failed(wish: Wish, reason: str) -> ConfirmationFailed:
    return ConfirmationFailed(address=wish.address, visitor_id=wish.visitor_id, channel=wish.channel, reason=reason)
