"""Sealed tokens: a value in a link that only we can read and only we can have made. No expiry, nothing stored.

AES-SIV (RFC 5297) with a key derived by HMAC-SHA512 from a secret and the token's purpose: a token of one purpose
opens nothing of another. Deterministic: the same value gives the same token, as a message that is rendered again must.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha512
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

S = TypeVar("S", bound=msgspec.Struct)


def seal(value: msgspec.Struct, *, purpose: str, secret: str) -> str:
    """The token of a value: base64url (RFC 4648 section 5) without padding."""
    return _encode(_cipher(purpose, secret).encrypt(msgspec.json.encode(value), None))


def unseal(token: str, kind: type[S], *, purpose: str, secrets: tuple[str | None, ...]) -> S | None:
    """What a token of ours stands for, sealed with any of the secrets; None for anything else.

    When a secret is changed, the new one seals, and the one before still opens what was sent. Empty ones are none.
    """
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  see _cipher

    try:
        sealed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return None
    if _encode(sealed) != token:
        return None
    for secret in filter(None, secrets):
        try:
            return msgspec.json.decode(_cipher(purpose, secret).decrypt(sealed, None), type=kind)
        except (InvalidTag, ValueError, msgspec.DecodeError):
            continue
    return None


def _cipher(purpose: str, secret: str) -> "AESSIV":
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # noqa: PLC0415  30 ms, for who seals and opens

    return AESSIV(hmac.digest(secret.encode(), f"sealed token\x1f{purpose}".encode(), sha512))


def _encode(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
