"""Mailer: sends offers by e-mail, and gives others connections and names for their mails."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Literal

import msgspec

from mesh import Mesh
from mesh.channels import EMAIL
from mesh.events.offer import OfferDecided
from mesh.observability.logs import log
from mesh.profiles import address_digest
from mesh.settings import read
from notifications.channels.attempts import Attempts
from notifications.channels.email_message import MailSettings, compose, message_id, recipient
from notifications.channels.offer_renderer import OfferRenderer
from notifications.channels.reading import Reading
from notifications.channels.sender import Handed
from notifications.documents.following import following
from notifications.journeys.kind import JOURNEYS
from notifications.journeys.live import LiveJourneys
from notifications.mail_reference import MailReference, return_path
from notifications.open_token import OpenLink, with_pixel
from notifications.render_pool import Rendered
from notifications.sending_pauses import domain_of
from notifications.shopper_profile import ShopperProfile
from notifications.template_variables import Shop
from notifications.unsubscribe_token import LinkSettings

if TYPE_CHECKING:
    from notifications.channels.smtp import Envelope, Pool

LOCAL = ("127.0.0.1", "::1", "localhost")
"""Mail servers of development and tests."""

MailKind = Literal["offer", "order", "confirmation"]


class Mailer:
    """One process's SMTP connections; the `Sender` of e-mail."""

    channel = EMAIL

    def __init__(self, renderer: OfferRenderer, pool: "Pool", journeys: LiveJourneys) -> None:
        """Use this renderer, these connections and journeys; the rest is read from the settings."""
        self.renderer, self._pool, self.journeys = renderer, pool, journeys
        self.mail, self._secret = read(MailSettings), renderer.links.secret
        self.attempts = Attempts(pool.connections)

    def to(self, profile: ShopperProfile) -> str | None:
        """The address as it goes over the wire."""
        return recipient(profile.email)

    async def rendered(self, decided: OfferDecided, reading: Reading) -> Rendered:
        """The mail in its shopper's language. Raises TemplateError."""
        return await self.renderer.rendered(decided, reading)

    @asynccontextmanager
    async def handover(self, profile: ShopperProfile, decided: OfferDecided) -> AsyncIterator["OfferEnvelope"]:
        """A connection on which the server took sender and recipient. Raises Undelivered."""
        async with self.envelope(self.to(profile) or "", "offer", decided.offer_id) as envelope:
            yield OfferEnvelope(envelope, self)

    def envelope(self, to: str, kind: MailKind, id: str) -> AbstractAsyncContextManager["Envelope"]:
        """A connection for the message to `to` that a mail's id names, as soon as one is free. Raises Undelivered."""
        sender, back = self.mail.sender(), self.mail.bounce_address
        if back:
            sender = return_path(back, _reference(to, kind, id), self._secret)
        return self._pool.envelope(sender, to)

    def counts_opens(self, decided: OfferDecided) -> bool:
        """Whether the journey in force wants opens counted."""
        live = self.journeys.get(decided.journey)
        return live is not None and live.journey.count_opens

    def naming(self, to: str, kind: MailKind, id: str) -> dict[str, str]:
        """The header by which a mail names itself, for what may come back of it."""
        return _reference(to, kind, id).header(self._secret)


class OfferEnvelope:
    """A connection for an offer's mail."""

    def __init__(self, envelope: "Envelope", mailer: Mailer) -> None:
        self._envelope, self._mailer = envelope, mailer
        self.to = envelope.to

    async def hand_over(self, decided: OfferDecided, rendered: Rendered) -> Handed:
        """Hand the mail over. Raises Undelivered, Unknown."""
        mailer = self._mailer
        counted = mailer.counts_opens(decided)
        message = compose(
            _with_pixel(rendered, decided, mailer.renderer.links) if counted else rendered,
            to=self.to,
            offer_id=decided.offer_id,
            unsubscribe_url=mailer.renderer.unsubscribe_url(decided),
            settings=mailer.mail,
            more=mailer.naming(self.to, "offer", decided.offer_id),
        )
        await self._envelope.hand_over(message)
        return Handed(
            message_id=message_id(decided.offer_id, mailer.mail), domain=domain_of(self.to), opens_counted=counted
        )


def _with_pixel(rendered: Rendered, decided: OfferDecided, links: LinkSettings) -> Rendered:
    named = OpenLink(
        visitor_id=decided.visitor_id,
        cart_id=decided.cart_id,
        offer_id=decided.offer_id,
        journey=decided.journey,
    )
    return msgspec.structs.replace(rendered, html=with_pixel(rendered.html, named, links))


def _reference(to: str, kind: MailKind, id: str) -> MailReference:
    return MailReference(kind=kind, id=id, address=address_digest(to))


def warn_of_missing_address(shop: Shop, smtp_host: str) -> None:
    """Log a warning where mails leave this machine without the sender's postal address in them."""
    if not shop.shop_address and smtp_host not in LOCAL:
        log.warning("mails name no postal address of the sender: set CARTMESH_SHOP_ADDRESS")


@asynccontextmanager
async def open_mailer(renderer: OfferRenderer, mesh: Mesh) -> AsyncIterator[Mailer]:
    """A mailer, until the block ends."""
    from notifications.channels.signer import SigningSettings, open_signer  # noqa: PLC0415  as below
    from notifications.channels.smtp import Pool, SmtpSettings  # noqa: PLC0415  only who sends loads aiosmtplib

    smtp = read(SmtpSettings)
    warn_of_missing_address(renderer.shop, smtp.smtp_host)
    pool = Pool(smtp, open_signer(read(SigningSettings), read(MailSettings).mail_from))
    journeys = LiveJourneys()
    try:
        async with following(JOURNEYS, journeys.use, mesh):
            yield Mailer(renderer, pool, journeys)
    finally:
        await pool.close()
