"""Order channel: how a message about an order goes by e-mail or SMS; `order_messages` has what is the same for both."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from mesh import Mesh
from mesh.channels import EMAIL, SMS, ChannelName
from mesh.profiles import phone_digest
from notifications.channels.attempts import Attempts
from notifications.channels.email_message import compose_transactional, recipient
from notifications.channels.mailer import Mailer
from notifications.channels.order_occasion import OrderMessage
from notifications.channels.sms.provider import Provider
from notifications.channels.sms.text_sender import TextSender
from notifications.render_pool import Rendered, TemplateError
from notifications.sending_pauses import domain_of
from notifications.shopper_profile import shopper_of
from notifications.suppressions import Standing, standing_of

if TYPE_CHECKING:
    from notifications.channels.smtp import Envelope


NO_TEXT = "it has no text for SMS: write one for buyers who gave no e-mail address"


OLDEST_TEXT = timedelta(days=1)
"""Of what happened earlier no text tells any more: the channel was not set up then, or its service was away."""


class Addressed(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message goes (`to` None: an address that cannot be written to); `standing`: whether it may."""

    to: str | None
    standing: Standing | None = None


class OrderHandover(Protocol):
    """A connection on which one message may be handed over."""

    async def hand_over(self, rendered: Rendered) -> str:
        """Hand it over, once; of a mail the recipient's domain. Raises Undelivered, Unknown."""


class OrderChannel(Protocol):
    """A way to send messages about orders. What happened longer ago than `oldest` begins none."""

    name: ChannelName
    attempts: Attempts
    oldest: timedelta | None

    async def addressed(self, message: OrderMessage, mesh: Mesh) -> Addressed | None:
        """Where it goes; None where this channel has nothing to do with the order's buyer. Raises Unavailable."""

    async def rendered(self, message: OrderMessage) -> tuple[Rendered, int | None] | None:
        """The message and its template's revision; None where the shop does not want it. Raises TemplateError."""

    def handover(self, to: str, id_: str) -> AbstractAsyncContextManager[OrderHandover]:
        """A connection, as soon as one is free. Raises Undelivered."""


class OrderMail:
    """E-mail: every message goes to the address that the order names."""

    name, oldest = EMAIL.name, None

    def __init__(self, mailer: Mailer) -> None:
        self._mailer, self.attempts = mailer, mailer.attempts

    async def addressed(self, message: OrderMessage, mesh: Mesh) -> Addressed | None:  # noqa: ARG002  as OrderChannel has it
        """The address as it goes over the wire."""
        return Addressed(to=recipient(message.email)) if message.email else None

    async def rendered(self, message: OrderMessage) -> tuple[Rendered, int | None] | None:
        """The mail. Raises TemplateError."""
        return await self._mailer.renderer.rendered_in_force(message.template, message.locale, message.data)

    @asynccontextmanager
    async def handover(self, to: str, id_: str) -> AsyncIterator["MailHandover"]:
        """A connection on which the server took sender and recipient. Raises Undelivered."""
        async with self._mailer.envelope(to, "order", id_) as envelope:
            yield MailHandover(self._mailer, envelope, id_)


class MailHandover:
    """The mail server, for one mail."""

    def __init__(self, mailer: Mailer, envelope: "Envelope", id_: str) -> None:
        self._mailer, self._envelope, self._id = mailer, envelope, id_

    async def hand_over(self, rendered: Rendered) -> str:
        """Hand the mail over. Raises Undelivered, Unknown."""
        mailer, to = self._mailer, self._envelope.to
        more = mailer.naming(to, "order", self._id)
        await self._envelope.hand_over(
            compose_transactional(rendered, to=to, key=self._id, settings=mailer.mail, more=more)
        )
        return domain_of(to)


class OrderText:
    """SMS: goes where the shop switched it on in the template, and where the order names no e-mail address."""

    name, oldest = SMS.name, OLDEST_TEXT

    def __init__(self, sender: TextSender) -> None:
        self._sender, self.attempts = sender, sender.attempts

    async def addressed(self, message: OrderMessage, mesh: Mesh) -> Addressed | None:
        """The order's number, else the one that the shop's server reported of its shopper. Raises Unavailable."""
        to = message.phone
        if to is None and message.visitor_id:
            profile, _ = await shopper_of(message.visitor_id, mesh)
            to = profile.phone
        return None if to is None else Addressed(to=to, standing=await standing_of(phone_digest(to), mesh))

    async def rendered(self, message: OrderMessage) -> tuple[Rendered, int | None] | None:
        """The text with short links. Raises TemplateError, Unavailable."""
        data = {**message.data, "short_links": await self._short_links(message.data)}
        renderer = self._sender.renderer
        rendered, revision = await renderer.rendered_in_force(message.template, message.locale, data)
        if message.email and not (rendered.sms and rendered.sms_beside_mail):
            return None
        if not rendered.sms:
            raise TemplateError(f"{message.template} [sms.text]", NO_TEXT)
        return rendered, revision

    async def _short_links(self, data: dict[str, Any]) -> dict[str, Any]:
        order, tracking = data["order"], data["tracking_url"]
        shorten = self._sender.links.shorten
        return {"order": {**order, "url": await shorten(order["url"])}, "tracking_url": await shorten(tracking)}

    @asynccontextmanager
    async def handover(self, to: str, id_: str) -> AsyncIterator["TextHandover"]:  # noqa: ARG002  a provider has no key
        """The provider. Raises Undelivered where there is none."""
        async with self._sender.connection() as provider:
            yield TextHandover(provider, to)


class TextHandover:
    """The provider, for one message."""

    def __init__(self, provider: Provider, to: str) -> None:
        self._provider, self._to = provider, to

    async def hand_over(self, rendered: Rendered) -> str:
        """Have it sent. Raises Undelivered, Unknown."""
        await self._provider.send(self._to, rendered.sms)
        return ""
