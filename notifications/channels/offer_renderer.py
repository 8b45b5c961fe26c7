"""Offer renderer: what is sent of an offer, rendered once for each channel, and other texts of templates."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from mesh import Mesh
from mesh.channels import EMAIL, Channel
from mesh.envelope import derive_id
from mesh.events.offer import OfferDecided
from mesh.settings import read
from notifications import preference_token, saved_cart_token
from notifications.channels.reading import Reading
from notifications.documents.following import following
from notifications.occasion import left_of
from notifications.preference_token import PreferenceLink
from notifications.real_cart import RealCart
from notifications.render_pool import Rendered, RenderPool, RenderSettings, TemplateError, open_render_pool
from notifications.sample import NAMES, sample
from notifications.saved_cart_token import SavedCartLink
from notifications.sent_mail import SentMail
from notifications.shopper_profile import ShopperProfile
from notifications.template_variables import Shop, template_variables
from notifications.templates.kind import TEMPLATES
from notifications.templates.live import LiveTemplates
from notifications.templates.shipped import shipped_template
from notifications.templates.template import Template, locale_for, template_of
from notifications.templates.trial import SampleChoice, chosen_variables
from notifications.unsubscribe_token import LinkSettings, Unsubscription, link

KEPT = 256


class OfferRenderer:
    """One process's renderer, and what it rendered lately."""

    def __init__(self, pool: RenderPool, templates: LiveTemplates, mesh: Mesh) -> None:
        """Use these workers and templates; the rest is read from the settings."""
        self._pool, self._templates, self._mesh = pool, templates, mesh
        self.shop, self.links = read(Shop), read(LinkSettings)
        self._renders: OrderedDict[str, asyncio.Task[Rendered]] = OrderedDict()

    async def rendered(self, decided: OfferDecided, reading: Reading, channel: Channel = EMAIL) -> Rendered:
        """The offer in its shopper's language, its links those of a channel. Raises TemplateError."""
        return await self.rendered_with(decided, reading, self.variables(decided, reading, channel))

    def variables(self, decided: OfferDecided, reading: Reading, channel: Channel) -> dict[str, Any]:
        """What a channel's template is given."""
        return template_variables(
            reading.offered,
            reading.profile,
            self.shop,
            left_at=left_of(reading.history, decided) or decided.due,
            unsubscribe_url=self.unsubscribe_url(decided, channel),
            preferences_url=self._preferences_url(decided, reading.profile.digest(channel)),
            saved_cart=self._saved_cart(decided),
            channel=channel.name,
        )

    async def rendered_with(self, decided: OfferDecided, reading: Reading, data: dict[str, Any]) -> Rendered:
        """The same with what it is given. Raises TemplateError."""
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
            raise  # remembered: the same template and data fail the same way
        except Exception:
            self._renders.pop(key, None)
            raise

    async def _render(self, decided: OfferDecided, locale: str | None, data: dict[str, Any]) -> Rendered:
        """With the template's revision that was decided, whatever was published since."""
        name = decided.template or decided.journey
        template = await self._templates.get(name, decided.template_revision, self._mesh)
        if template is None:
            raise TemplateError(name, self._templates.missing(name, decided.template_revision))
        return await self._pool.render(template, locale, data)

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
        return await self._pool.render(template, locale, data), revision

    async def rendered_again(self, mail: SentMail, profile: ShopperProfile) -> Rendered:
        """What was sent, to be looked at: its links to unsubscribe have no effect. Raises TemplateError."""
        return await mail.rendered(self._pool, self.shop, profile.locale, profile)

    async def tried(
        self,
        template: Template,
        cart: RealCart,
        choice: SampleChoice,
        profile: ShopperProfile,
        percent: int | None = None,
    ) -> Rendered:
        """What a template makes for a real cart and its shopper, as none is sent. Raises TemplateError."""
        locale = profile.locale or locale_for(None, template.locales)
        variables = chosen_variables(template, locale, choice, cart, profile, percent)
        return await self._pool.render(template, locale, variables)

    def unsubscribe_url(self, decided: OfferDecided, channel: Channel = EMAIL) -> str:
        """The signed link that ends offers by a channel."""
        unsubscription = Unsubscription(visitor_id=decided.visitor_id, channel=channel.name, offer_id=decided.offer_id)
        return link(unsubscription, self.links)

    def _saved_cart(self, decided: OfferDecided) -> str:
        """The token by which the shop reads the cart on any device."""
        link = SavedCartLink(region=self._mesh.region, cart_id=decided.cart_id, offer_id=decided.offer_id)
        return saved_cart_token.seal(link, self.links.secret)

    def _preferences_url(self, decided: OfferDecided, address: str | None) -> str:
        """The signed link to what the shopper allows; empty without an address, as a card has no such link."""
        if not address:
            return ""
        due = int(decided.due.timestamp())
        return preference_token.link(
            PreferenceLink(visitor_id=decided.visitor_id, address=address, offer_id=decided.offer_id, due=due),
            self.links,
        )


@asynccontextmanager
async def open_offer_renderer(mesh: Mesh) -> AsyncIterator[OfferRenderer]:
    """A renderer with warm workers, until the block ends."""
    templates, shop = LiveTemplates(), read(Shop)
    async with open_render_pool(read(RenderSettings)) as pool, following(TEMPLATES, templates.use, mesh):
        shipped = template_of("abandoned-cart", TEMPLATES.read_folder("")["abandoned-cart"])
        for locale in NAMES:
            decided, profile = sample(locale)
            data = template_variables(decided, profile, shop, left_at=decided.due, unsubscribe_url="http://127.0.0.1/")
            try:
                await pool.render(shipped, locale, data)
            except TemplateError:
                continue  # reported when it is used
        yield OfferRenderer(pool, templates, mesh)
