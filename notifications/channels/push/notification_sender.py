"""Notification sender: sends offers by web push (RFC 8030). The `Sender` of that channel.

A message is encrypted for the browser (RFC 8291), so that the push service in between reads nothing. Its topic and tag
are the shopper's: an offer takes the place of an earlier one that was not delivered or read yet, and a request that is
made again shows nothing twice.
"""

from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import http_ece
import httpx
import msgspec

from mesh import Mesh
from mesh.channels import PUSH
from mesh.errors import DeclarationError, MeshError
from mesh.events.offer import OfferDecided
from mesh.observability.logs import log
from mesh.profiles import push_digest
from mesh.settings import read
from mesh.web.checked_network import CheckedNetwork
from mesh.web.endpoint_client import EndpointClient
from notifications.channel_settings import ChannelSettings, not_set_up
from notifications.channels.attempts import Attempts
from notifications.channels.delivery_errors import Undelivered
from notifications.channels.offer_renderer import OfferRenderer
from notifications.channels.push.vapid import Vapid
from notifications.channels.reading import Reading
from notifications.channels.sender import Handed
from notifications.journeys.live import LiveJourneys
from notifications.mail_reports.requests import Done, Suppress
from notifications.render_pool import Rendered
from notifications.shopper_profile import ShopperProfile, Subscription
from notifications.suppressions import GONE

GONE_STATUS, NEVER = (404, 410), (400, 413)
MOST = 3_000
"""Bytes of a message; services take 4,096 of what it is encrypted to."""
ASKED_FOR = timedelta(seconds=5)


class PushSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`push_private_key` as `cartmesh push-keys` made it; `push_contact` (`mailto:...`) is told to push services.

    `push_hosts` are the services that notifications go to; `*.` in front takes every host below. After `push_ttl` a
    notification that could not be delivered is dropped, so that a browser that was off shows no offer of long ago.
    `push_private_addresses` lets them be in a private network, as in tests.
    """

    push_private_key: str = ""
    push_contact: str = ""
    push_hosts: tuple[str, ...] = (
        "fcm.googleapis.com",
        "updates.push.services.mozilla.com",
        "*.push.apple.com",
        "*.notify.windows.com",
    )
    push_ttl: timedelta = timedelta(minutes=30)
    push_connections: int = 16
    push_timeout: timedelta = timedelta(seconds=15)
    push_private_addresses: bool = False


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What the shop's service worker shows."""

    title: str
    body: str
    url: str
    tag: str
    lang: str


class NotificationSender:
    """One process's connections to push services."""

    channel = PUSH

    def __init__(
        self,
        renderer: OfferRenderer,
        journeys: LiveJourneys,
        mesh: Mesh,
        settings: PushSettings,
        vapid: Vapid | None,
        client: EndpointClient,
    ) -> None:
        """Use this renderer, key and connections; without a key every offer waits until there is one."""
        self.journeys = journeys
        self.renderer, self._mesh, self._settings, self.vapid, self._client = renderer, mesh, settings, vapid, client
        self.attempts = Attempts(settings.push_connections)

    def to(self, profile: ShopperProfile) -> str | None:
        """The endpoint, where it is of a push service that is allowed."""
        if profile.push is None or not _allowed(profile.push.endpoint, self._settings.push_hosts):
            return None
        return profile.push.endpoint

    async def rendered(self, decided: OfferDecided, reading: Reading) -> Rendered:
        """The notification in its shopper's language. Raises TemplateError."""
        return await self.renderer.rendered(decided, reading, PUSH)

    @asynccontextmanager
    async def handover(self, profile: ShopperProfile, decided: OfferDecided) -> AsyncIterator["PushHandover"]:  # noqa: ARG002  as Sender has it
        """The connections. Raises Undelivered where there is no key."""
        if self.vapid is None or profile.push is None:
            raise Undelivered("no key for web push is set: CARTMESH_PUSH_PRIVATE_KEY", again=True)
        yield PushHandover(self, profile.push, self.vapid)

    async def post(self, endpoint: str, headers: dict[str, str], body: bytes) -> None:
        """Have a message taken. Raises Undelivered."""
        response = await self._client.send(endpoint, headers, body)
        if response.status in GONE_STATUS:
            await self._forget(endpoint)
            raise Undelivered("the browser takes no notifications any more", again=False)
        if not response.delivered:
            answered = f"the push service answered {response.status}"
            reason = answered if response.status else "the push service does not answer"
            raise Undelivered(reason, again=response.status not in NEVER)

    @property
    def ttl(self) -> int:
        """Seconds after which a notification that could not be delivered is dropped."""
        return int(self._settings.push_ttl.total_seconds())

    async def _forget(self, endpoint: str) -> None:
        """Have nothing sent there any more; where that cannot be stored now, the next attempt does it."""
        asked = Suppress(address=push_digest(endpoint), suppressed=True, reason=GONE, by="channels")
        try:
            await self._mesh.ask("mail-reports", "suppress-address", asked, Done, within=ASKED_FOR)
        except MeshError as error:
            log.warning("a browser that takes no notifications could not be recorded", reason=str(error))


class PushHandover:
    """The connections, for one message."""

    def __init__(self, sender: NotificationSender, subscription: Subscription, vapid: Vapid) -> None:
        self._sender, self._subscription, self._vapid = sender, subscription, vapid
        self.to = subscription.endpoint

    async def hand_over(self, decided: OfferDecided, rendered: Rendered) -> Handed:
        """Encrypt it and have it taken. Raises Undelivered."""
        topic = push_digest(decided.visitor_id)
        shown = Notification(
            title=rendered.push.title, body=rendered.push.body, url=rendered.url, tag=topic, lang=rendered.locale
        )
        headers = {
            "Authorization": self._vapid.authorization(self.to),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(self._sender.ttl),
            "Topic": topic,
            "Urgency": "normal",
        }
        await self._sender.post(self.to, headers, encrypted(shown, self._subscription))
        return Handed(message_id=decided.offer_id)


def encrypted(shown: Notification, subscription: Subscription) -> bytes:
    """The body of a request. Raises Undelivered for what is too long, or keys that are none."""
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  only who sends needs it

    plain = msgspec.json.encode(shown)
    if len(plain) > MOST:
        raise Undelivered(f"the notification has {len(plain)} bytes; {MOST} are the most", again=False)
    try:
        return http_ece.encrypt(
            plain,
            private_key=ec.generate_private_key(ec.SECP256R1()),
            dh=_decoded(subscription.p256dh),
            auth_secret=_decoded(subscription.auth),
            version="aes128gcm",
        )
    except (ValueError, http_ece.ECEException) as error:
        raise Undelivered("the browser's keys cannot be used", again=False) from error


@asynccontextmanager
async def open_notification_sender(
    renderer: OfferRenderer, journeys: LiveJourneys, mesh: Mesh
) -> AsyncIterator[NotificationSender]:
    """A sender of notifications, until the block ends. Raises DeclarationError for a key that is none."""
    settings, vapid = read(PushSettings), None
    if PUSH.name not in not_set_up():
        vapid = Vapid(settings.push_private_key, settings.push_contact)
        if vapid.public != read(ChannelSettings).push_public_key:
            raise DeclarationError("CARTMESH_PUSH_PUBLIC_KEY and CARTMESH_PUSH_PRIVATE_KEY do not belong together")
    network = CheckedNetwork(private=settings.push_private_addresses)
    client = EndpointClient(
        network, httpx.create_ssl_context(), connect=settings.push_timeout, deadline=settings.push_timeout
    )
    try:
        yield NotificationSender(renderer, journeys, mesh, settings, vapid, client)
    finally:
        await client.close()
        network.close()


def _allowed(endpoint: str, hosts: tuple[str, ...]) -> bool:
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").lower()
    return parts.scheme == "https" and any(
        host.endswith(one[1:]) if one.startswith("*.") else host == one for one in hosts
    )


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
