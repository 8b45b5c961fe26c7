"""Signing: Standard Webhooks 1.0, with HMAC-SHA256 (`v1`) or Ed25519 (`v1a`).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. No key is stored anywhere:
each follows from the setting `webhook_signing_secret`, the webhook's id and the key's number, so that every region
signs with the same one, and neither a stream nor a bucket has it. While a key is being changed, both sign.
"""

import hmac
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256, sha512
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.settings import Secret

Kind = Literal["hmac", "ed25519"]


class SecretSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`webhook_signing_secret` is what all keys of webhooks follow from, and seals their URLs. One for all regions.

    While it is changed, `webhook_signing_secret_before` still signs as well, and still opens what was sealed.
    """

    webhook_signing_secret: Secret
    webhook_signing_secret_before: Secret | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The present one first."""
        return tuple(filter(None, (self.webhook_signing_secret, self.webhook_signing_secret_before)))


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a webhook, by its number. It signs until `ends` (aware UTC; None: until it is replaced)."""

    number: int
    kind: Kind
    created: datetime
    ends: datetime | None = None

    def signs_at(self, now: datetime) -> bool:
        """Whether it signs at that time."""
        return self.ends is None or now < self.ends


def shared_secret(secret: str, webhook_id: str, key: SigningKey) -> str:
    """What a partner needs to verify: `whsec_...`, which is secret, or `whpk_...`, which is not."""
    material = _material(secret, webhook_id, key.number, key.kind)
    if key.kind == "hmac":
        return f"whsec_{b64encode(material).decode()}"
    return f"whpk_{b64encode(_private_key(material).public_key().public_bytes_raw()).decode()}"


def headers(
    body: bytes, *, message_id: str, at: datetime, webhook_id: str, keys: Sequence[SigningKey], secrets: Sequence[str]
) -> dict[str, str]:
    """The three headers of a message that is sent at `at`, signed with every key that is in force then."""
    seconds = int(at.timestamp())
    signed = b"%s.%d.%s" % (message_id.encode(), seconds, body)
    signatures = [
        sign(signed, _material(secret, webhook_id, key.number, key.kind), key.kind)
        for key in keys
        if key.signs_at(at)
        for secret in secrets
    ]
    return {"webhook-id": message_id, "webhook-timestamp": str(seconds), "webhook-signature": " ".join(signatures)}


def sign(signed: bytes, material: bytes, kind: Kind) -> str:
    """One signature. `material` is the HMAC's key, or the 32 bytes of an Ed25519 private key."""
    if kind == "hmac":
        return f"v1,{b64encode(hmac.digest(material, signed, sha256)).decode()}"
    return f"v1a,{b64encode(_private_key(material).sign(signed)).decode()}"


@lru_cache(4096)
def _material(secret: str, webhook_id: str, number: int, kind: Kind) -> bytes:
    return hmac.digest(secret.encode(), f"webhook key\x1f{webhook_id}\x1f{number}\x1f{kind}".encode(), sha512)[:32]


@lru_cache(4096)
def _private_key(material: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(material)
