"""Unsubscribe token: lets whoever holds the link unsubscribe one visitor from one channel. Signed, without an expiry.

A link in a mail must work for years; it carries no e-mail address.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import msgspec

from mesh.channels import ChannelName


class Unsubscription(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a link stands for: this visitor unsubscribes from this channel, because of this offer."""

    visitor_id: str
    channel: ChannelName
    offer_id: str


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url_links` is where shoppers reach the service `links` of their region."""

    url_links: str = "http://127.0.0.1:8081"
    secret: str = "cartmesh-on-a-laptop"  # noqa: S105  a laptop's default; the chart sets a real one


def sign(unsubscription: Unsubscription, secret: str) -> str:
    """The token: content and HMAC-SHA256, both base64url (RFC 4648 section 5) without padding."""
    content = _encode(msgspec.json.encode(unsubscription))
    return f"{content}.{_signature(content, secret)}"


def verify(token: str, secret: str) -> Unsubscription | None:
    """What a token of ours means; None for anything else. Compared in constant time."""
    content, _, signature = token.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(content, secret).encode()):
        return None
    try:
        return msgspec.json.decode(urlsafe_b64decode(content + "=" * (-len(content) % 4)), type=Unsubscription)
    except (ValueError, msgspec.DecodeError):
        return None


def link(unsubscription: Unsubscription, settings: LinkSettings) -> str:
    """The address that goes into the mail and its List-Unsubscribe header."""
    return f"{settings.url_links.rstrip('/')}/unsubscribe/{sign(unsubscription, settings.secret)}"


def _signature(content: str, secret: str) -> str:
    return _encode(hmac.digest(secret.encode(), f"unsubscribe\x1f{content}".encode(), sha256))


def _encode(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
