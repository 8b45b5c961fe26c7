"""Text sender: sends offers by SMS. The `Sender` of that channel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh import Mesh
from mesh.channels import SMS
from mesh.events.offer import OfferDecided
from mesh.settings import read
from notifications.channels.attempts import Attempts
from notifications.channels.delivery_errors import Undelivered
from notifications.channels.offer_renderer import OfferRenderer
from notifications.channels.reading import Reading
from notifications.channels.sender import Handed
from notifications.channels.sms.chosen_provider import open_provider
from notifications.channels.sms.provider import Provider, SmsSettings
from notifications.journeys.live import LiveJourneys
from notifications.render_pool import Rendered, TemplateError
from notifications.shopper_profile import ShopperProfile
from notifications.short_links import ShortLinks

NO_TEXT = "it has no text for SMS: write one, or take SMS out of the journey's channels"
SHORT = ("cart_url", "unsubscribe_url", "preferences_url")
"""The links that are shortened in a text message."""


class TextSender:
    """One process's connections to the provider; without one every offer waits until there is one."""

    channel = SMS

    def __init__(
        self, renderer: OfferRenderer, provider: Provider | None, links: ShortLinks, journeys: LiveJourneys
    ) -> None:
        """Use this renderer, provider, links and journeys."""
        self.journeys = journeys
        self.renderer, self.provider, self.links = renderer, provider, links
        self.attempts = Attempts(read(SmsSettings).sms_connections)

    def to(self, profile: ShopperProfile) -> str | None:
        """The number, as it was checked when it was stored."""
        return profile.phone

    async def rendered(self, decided: OfferDecided, reading: Reading) -> Rendered:
        """The text in its shopper's language. Raises TemplateError, Unavailable."""
        data = self.renderer.variables(decided, reading, SMS)
        short = {name: await self.links.shorten(data[name]) for name in SHORT}
        rendered = await self.renderer.rendered_with(decided, reading, {**data, "short_links": short})
        if not rendered.sms:
            raise TemplateError(f"{decided.template or decided.journey} [sms.text]", NO_TEXT)
        return rendered

    @asynccontextmanager
    async def handover(self, profile: ShopperProfile, decided: OfferDecided) -> AsyncIterator["TextHandover"]:  # noqa: ARG002  as Sender has it
        """The provider. Raises Undelivered where there is none."""
        async with self.connection() as provider:
            yield TextHandover(provider, profile.phone or "")

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Provider]:
        """The provider. Raises Undelivered where there is none."""
        if self.provider is None:
            raise Undelivered("no provider of text messages is set: CARTMESH_SMS_PROVIDER", again=True)
        yield self.provider


class TextHandover:
    """The provider, for one message."""

    def __init__(self, provider: Provider, to: str) -> None:
        self._provider, self.to = provider, to

    async def hand_over(self, decided: OfferDecided, rendered: Rendered) -> Handed:  # noqa: ARG002  as Handover has it
        """Have it sent. Raises Undelivered, Unknown."""
        return Handed(message_id=await self._provider.send(self.to, rendered.sms))


@asynccontextmanager
async def open_text_sender(renderer: OfferRenderer, journeys: LiveJourneys, mesh: Mesh) -> AsyncIterator[TextSender]:
    """A sender of text messages, until the block ends."""
    async with open_provider(read(SmsSettings)) as provider:
        yield TextSender(renderer, provider, ShortLinks(mesh, renderer.links), journeys)
