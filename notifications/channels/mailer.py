"""Mailer: renders an offer once for all channels, sends its e-mail message, and keeps the result of each claim."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mesh import Mesh, Retry
from mesh.channels import ChannelName
from mesh.envelope import derive_id
from mesh.events.offer import OfferDecided, OfferDeferred, OfferFailed, OfferSent
from mesh.observability.logs import log
from mesh.profiles import address_digest
from mesh.settings import read
from notifications import preference_token, saved_cart_token
from notifications.channels.delivery_errors import Undelivered, Unknown
from notifications.channels.delivery_state import Claim
from notifications.channels.email_message import MailSettings, compose, message_id, without_addresses
from notifications.channels.reading import Reading
from notifications.documents.following import following
from notifications.journeys.kind import JOURNEYS
from notifications.journeys.live import LiveJourneys
from notifications.mail_reference import MailReference, return_path
from notifications.occasion import left_of
from notifications.open_token import OpenLink, with_pixel
from notifications.preference_token import PreferenceLink
from notifications.real_cart import RealCart
from notifications.render_pool import Rendered, RenderPool, RenderSettings, TemplateError, open_render_pool
from notifications.run import run_fields
from notifications.sample import NAMES, sample
from notifications.saved_cart_token import SavedCartLink
from notifications.sending_pauses import domain_of
from notifications.sent_mail import SentMail
from notifications.shopper_profile import ShopperProfile
from notifications.template_variables import Shop, template_variables
from notifications.templates.kind import TEMPLATES
from notifications.templates.live import LiveTemplates
from notifications.templates.shipped import shipped_template
from notifications.templates.template import Template, locale_for, template_of
from notifications.templates.trial import SampleChoice, chosen_variables
from notifications.unsubscribe_token import LinkSettings, Unsubscription, link

if TYPE_CHECKING:
    from notifications.channels.smtp import Envelope, Pool

REMEMBERED, KEPT = 2_000, 256
LOCAL = ("127.0.0.1", "::1", "localhost")
"""Mail servers of development and tests."""


class MailerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How often a mail is tried and how long until the second try; the wait doubles, to an hour at most."""

    send_attempts: int = 6
    send_again_after: timedelta = timedelta(seconds=2)


MailKind = Literal["offer", "order", "confirmation"]
Result = OfferSent | OfferDeferred | OfferFailed


class Mailer:
    """One process's renderer, SMTP connections and recent results."""

    def __init__(
        self, renderer: RenderPool, pool: "Pool", templates: LiveTemplates, journeys: LiveJourneys, mesh: Mesh
    ) -> None:
        """Use this renderer, these connections and documents; the rest is read from the settings."""
        self.journeys = journeys
        self._renderer, self._pool, self._templates, self._mesh = renderer, pool, templates, mesh
        self._settings, self.mail, self.shop = read(MailerSettings), read(MailSettings), read(Shop)
        self.links = read(LinkSettings)
        self._renders: OrderedDict[str, asyncio.Task[Rendered]] = OrderedDict()
        self._busy: set[str] = set()
        self._turns = asyncio.Semaphore(pool.connections)
        self._claims: OrderedDict[str, Result | None] = OrderedDict()

    @contextmanager
    def alone(self, offer_id: str) -> Iterator[None]:
        """One delivery of an offer at a time: a second one of the same waits. Raises Retry."""
        if offer_id in self._busy:
            raise Retry("it is being sent right now", after=timedelta(seconds=1))
        self._busy.add(offer_id)
        try:
            yield
        finally:
            self._busy.discard(offer_id)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait until fewer mails are in hand than there are connections; what others read would grow old meanwhile."""
        return self._turns

    def claimed(self, claim_id: str) -> None:
        """A claim is about to be made here: until `result` is set nothing was handed over under it."""
        self._claims[claim_id] = None
        if len(self._claims) > REMEMBERED:
            self._claims.popitem(last=False)

    def is_mine(self, claim_id: str) -> bool:
        """Whether this process made that claim, and so knows what became of it."""
        return claim_id in self._claims

    def result(self, claim_id: str) -> Result | None:
        """What became of the sending under a claim of this process; None: nothing was handed over yet."""
        return self._claims.get(claim_id)

    async def rendered(self, decided: OfferDecided, reading: Reading) -> Rendered:
        """The offer in its shopper's language, rendered once for all channels. Raises TemplateError."""
        left = left_of(reading.history, decided)
        data = template_variables(
            reading.offered,
            reading.profile,
            self.shop,
            left_at=left or decided.due,
            unsubscribe_url=self.unsubscribe_url(decided),
            preferences_url=self.preferences_url(decided, reading.profile.email),
            saved_cart=self.saved_cart(decided),
        )
        key = derive_id(decided.offer_id, reading.profile.locale, msgspec.json.encode(data))
        task = self._renders.get(key)
        if task is None:
            job = self._render(decided, reading.profile.locale, data)
            task = self._renders[key] = asyncio.create_task(job)
            if len(self._renders) > KEPT:
                self._renders.popitem(last=False)
        try:
            return await asyncio.shield(task)
        except TemplateError:
            raise  # remembered: the same template and data fail the same way in every channel
        except Exception:
            self._renders.pop(key, None)
            raise

    async def _render(self, decided: OfferDecided, locale: str | None, data: dict[str, Any]) -> Rendered:
        """With the template's revision that was decided, whatever was published since."""
        name = decided.template or decided.journey
        template = await self._templates.get(name, decided.template_revision, self._mesh)
        if template is None:
            raise TemplateError(name, self._templates.missing(name, decided.template_revision))
        return await self._renderer.render(template, locale, data)

    async def rendered_in_force(
        self, name: str, locale: str | None, data: dict[str, Any]
    ) -> tuple[Rendered, int | None]:
        """A template in force with other data than an offer's, and its revision. Raises TemplateError.

        One that nobody published is the one that comes with Cartmesh: people who published others have it too.
        """
        revision = self._templates.revision(name)
        template = await self._templates.get(name, revision, self._mesh) or shipped_template(name)
        if template is None:
            raise TemplateError(name, self._templates.missing(name, revision))
        return await self._renderer.render(template, locale, data), revision

    async def rendered_again(self, mail: SentMail, profile: ShopperProfile) -> Rendered:
        """A mail that was sent, to be looked at: its links to unsubscribe have no effect. Raises TemplateError."""
        return await mail.rendered(self._renderer, self.shop, profile.locale, profile)

    async def tried(
        self,
        template: Template,
        cart: RealCart,
        choice: SampleChoice,
        profile: ShopperProfile,
        percent: int | None = None,
    ) -> Rendered:
        """The mail of a template for a real cart and its shopper, as none is sent. Raises TemplateError."""
        locale = profile.locale or locale_for(None, template.locales)
        variables = chosen_variables(template, locale, choice, cart, profile, percent)
        return await self._renderer.render(template, locale, variables)

    def unsubscribe_url(self, decided: OfferDecided) -> str:
        """The signed link that ends these mails."""
        unsubscription = Unsubscription(visitor_id=decided.visitor_id, channel="email", offer_id=decided.offer_id)
        return link(unsubscription, self.links)

    def saved_cart(self, decided: OfferDecided) -> str:
        """The token by which the shop reads the cart on any device."""
        link = SavedCartLink(region=self._mesh.region, cart_id=decided.cart_id, offer_id=decided.offer_id)
        return saved_cart_token.seal(link, self.links.secret)

    def preferences_url(self, decided: OfferDecided, email: str | None) -> str:
        """The signed link to what the shopper allows; empty without an address, as a card has no such link."""
        if not email:
            return ""
        address, due = address_digest(email), int(decided.due.timestamp())
        return preference_token.link(
            PreferenceLink(visitor_id=decided.visitor_id, address=address, offer_id=decided.offer_id, due=due),
            self.links,
        )

    def envelope(self, to: str, kind: MailKind, id: str) -> AbstractAsyncContextManager["Envelope"]:
        """A connection for the message to `to` that a mail's id names, as soon as one is free. Raises Undelivered."""
        sender, back = self.mail.sender(), self.mail.bounce_address
        if back:
            sender = return_path(back, self.reference(to, kind, id), self.links.secret)
        return self._pool.envelope(sender, to)

    def reference(self, to: str, kind: MailKind, id: str) -> MailReference:
        """What a mail names itself by, for what may come back of it."""
        return MailReference(kind=kind, id=id, address=address_digest(to))

    def naming(self, to: str, kind: MailKind, id: str) -> dict[str, str]:
        """The header with that reference."""
        return self.reference(to, kind, id).header(self.links.secret)

    async def send(self, decided: OfferDecided, envelope: "Envelope", rendered: Rendered, claim: Claim) -> Result:
        """Send under a claim, and say what became of it: sent, deferred to a later attempt, or failed."""
        counted = self._counts_opens(decided)
        message = compose(
            self._with_pixel(rendered, decided) if counted else rendered,
            to=envelope.to,
            offer_id=decided.offer_id,
            unsubscribe_url=self.unsubscribe_url(decided),
            settings=self.mail,
            more=self.naming(envelope.to, "offer", decided.offer_id),
        )
        # From here on a lost answer means "unknown", and only this memory could show it: set before, not after.
        self._claims[claim.id] = failed(
            decided, "email", "unknown: stopped while it was being handed over; not sent twice"
        )
        try:
            await envelope.hand_over(message)
            result: Result = OfferSent(
                cart_id=decided.cart_id,
                visitor_id=decided.visitor_id,
                offer_id=decided.offer_id,
                channel="email",
                message_id=message_id(decided.offer_id, self.mail),
                domain=domain_of(envelope.to),
                opens_counted=counted,
                **run_fields(decided),
            )
        except Unknown as unknown:
            result = failed(decided, "email", f"unknown: {without_addresses(str(unknown))}; not sent twice")
        except Undelivered as undelivered:
            result = self.undelivered(decided, undelivered, claim.attempt)
        self._claims[claim.id] = result
        return result

    def _counts_opens(self, decided: OfferDecided) -> bool:
        """Whether the journey in force wants opens counted."""
        live = self.journeys.get(decided.journey)
        return live is not None and live.journey.count_opens

    def _with_pixel(self, rendered: Rendered, decided: OfferDecided) -> Rendered:
        named = OpenLink(
            visitor_id=decided.visitor_id,
            cart_id=decided.cart_id,
            offer_id=decided.offer_id,
            journey=decided.journey,
        )
        return msgspec.structs.replace(rendered, html=with_pixel(rendered.html, named, self.links))

    def pause(self, attempt: int) -> timedelta:
        """How long to wait after an attempt that the server did not take; it doubles, to an hour at most."""
        return min(self._settings.send_again_after * 2 ** min(attempt - 1, 12), timedelta(hours=1))

    def undelivered(self, decided: OfferDecided, undelivered: Undelivered, attempt: int) -> Result:
        """What becomes of an offer that the server did not take: deferred to a later attempt, or failed."""
        reason = without_addresses(str(undelivered))
        if not undelivered.again:
            return failed(decided, "email", reason)
        if attempt >= self._settings.send_attempts:
            return failed(decided, "email", f"gave up after {attempt} attempts: {reason}")
        return OfferDeferred(
            cart_id=decided.cart_id,
            offer_id=decided.offer_id,
            channel="email",
            attempt=attempt,
            reason=reason,
            until=datetime.now(UTC) + self.pause(attempt),
            **run_fields(decided),
        )


def failed(decided: OfferDecided, channel: ChannelName, reason: str) -> OfferFailed:
    """The offer will not be sent by this channel."""
    return OfferFailed(
        cart_id=decided.cart_id, offer_id=decided.offer_id, channel=channel, reason=reason, **run_fields(decided)
    )


def warn_of_missing_address(shop: Shop, smtp_host: str) -> None:
    """Log a warning where mails leave this machine without the sender's postal address in them."""
    if not shop.shop_address and smtp_host not in LOCAL:
        log.warning("mails name no postal address of the sender: set CARTMESH_SHOP_ADDRESS")


@asynccontextmanager
async def open_mailer(mesh: Mesh) -> AsyncIterator[Mailer]:
    """A mailer with warm render workers, until the block ends."""
    from notifications.channels.signer import SigningSettings, open_signer  # noqa: PLC0415  as below
    from notifications.channels.smtp import Pool, SmtpSettings  # noqa: PLC0415  only who sends loads aiosmtplib

    smtp, shop = read(SmtpSettings), read(Shop)
    warn_of_missing_address(shop, smtp.smtp_host)
    pool = Pool(smtp, open_signer(read(SigningSettings), read(MailSettings).mail_from))
    templates, journeys = LiveTemplates(), LiveJourneys()
    async with (
        open_render_pool(read(RenderSettings)) as renderer,
        following(TEMPLATES, templates.use, mesh),
        following(JOURNEYS, journeys.use, mesh),
    ):
        shipped = template_of("abandoned-cart", TEMPLATES.read_folder("")["abandoned-cart"])
        for locale in NAMES:
            decided, profile = sample(locale)
            data = template_variables(decided, profile, shop, left_at=decided.due, unsubscribe_url="http://127.0.0.1/")
            try:
                await renderer.render(shipped, locale, data)
            except TemplateError:
                continue  # reported when it is used
        try:
            yield Mailer(renderer, pool, templates, journeys, mesh)
        finally:
            await pool.close()
