"""Subscription rules: what a browser's subscription to notifications must be."""

from base64 import urlsafe_b64decode
from urllib.parse import urlsplit

from mesh.errors import InvalidField
from mesh.events.customer import PushSubscribed

LONGEST = 1_000
POINT, SECRET = 65, 16
"""Bytes of a public key on P-256, not compressed, and of the secret (RFC 8291 section 3.2)."""


def check_subscription(sent: PushSubscribed) -> PushSubscribed:
    """The subscription as it was sent. Raises InvalidField for what no browser has."""
    endpoint = sent.endpoint or ""
    try:
        parts = urlsplit(endpoint)
        of_web = parts.scheme == "https" and bool(parts.hostname) and parts.username is None
    except ValueError:
        of_web = False
    if not of_web or len(endpoint) > LONGEST or not endpoint.isascii():
        raise InvalidField("$.endpoint", "not the https address of a push service")
    point = _decoded(sent.p256dh)
    if len(point) != POINT or point[0] != 4:
        raise InvalidField("$.p256dh", "not a public key on P-256 in base64url")
    if len(_decoded(sent.auth)) != SECRET:
        raise InvalidField("$.auth", "not 16 bytes in base64url")
    return sent


def _decoded(text: str | None) -> bytes:
    given = text or ""
    try:
        return urlsafe_b64decode(given + "=" * (-len(given) % 4))
    except ValueError:
        return b""
