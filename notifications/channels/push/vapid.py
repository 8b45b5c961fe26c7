"""VAPID: by what a push service knows the shop (RFC 8292), and the keys for it.

The public key stands in the shop's pages: a browser subscribes for it, and takes notifications from whoever signs with
the private one alone.
"""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

from mesh.errors import DeclarationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

VALID, RENEWED = 12 * 3600, 3600
"""Seconds for which a token is valid (24 h are the most), and after which another one is made."""


class Vapid:
    """The shop's key, and the tokens that were made with it lately."""

    def __init__(self, private_key: str, contact: str) -> None:
        """`private_key` as `cartmesh push-keys` prints it; `contact` is `mailto:...` or `https://...`.

        Raises DeclarationError.
        """
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  only who sends needs it

        try:
            number = int.from_bytes(_decoded(private_key), "big")
            key = ec.derive_private_key(number, ec.SECP256R1())
        except ValueError:
            raise DeclarationError("CARTMESH_PUSH_PRIVATE_KEY is no key that `cartmesh push-keys` made") from None
        if not contact.startswith(("mailto:", "https://")):
            raise DeclarationError("set CARTMESH_PUSH_CONTACT, such as mailto:shop@example.com, for push services")
        self.public, self._contact = public_of(key), contact
        self._key = ECKey.import_key(key)
        self._tokens: dict[str, tuple[float, str]] = {}

    def authorization(self, endpoint: str) -> str:
        """The header for a request to an endpoint."""
        parts, now = urlsplit(endpoint), time.time()
        audience = f"{parts.scheme}://{parts.netloc}"
        made, token = self._tokens.get(audience, (0.0, ""))
        if now - made > RENEWED:
            claims = {"aud": audience, "exp": int(now) + VALID, "sub": self._contact}
            token = jwt.encode({"typ": "JWT", "alg": "ES256"}, claims, self._key)
            self._tokens[audience] = now, token
        return f"vapid t={token}, k={self.public}"


def new_keys() -> tuple[str, str]:
    """A new private key and its public half, both in base64url."""
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  as above

    key = ec.generate_private_key(ec.SECP256R1())
    return encoded(key.private_numbers().private_value.to_bytes(32, "big")), public_of(key)


def public_of(key: "EllipticCurvePrivateKey") -> str:
    """The public half, as pages and push services take it."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  as above

    point = serialization.PublicFormat.UncompressedPoint
    return encoded(key.public_key().public_bytes(serialization.Encoding.X962, point))


def encoded(value: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
