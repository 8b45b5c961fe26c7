"""ID token: who signed in at the identity provider (OpenID Connect Core 1.0, 2 and 3.1.3.7)."""

import hmac
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key pair alone: with a shared secret, and with `none`, others could sign as well."""
KINDS = frozenset({"RSA", "EC", "OKP"})
LEEWAY = 60
"""By how many seconds the clocks may differ."""


class Unverified(Exception):
    """An identity provider's response that proves nothing; why, for the log."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the provider recognised. `email_is_verified`: the provider vouches for the address."""

    issuer: str
    subject: str
    email: str = ""
    name: str = ""
    email_is_verified: bool = False


def key_set(published: Any) -> KeySet:
    """The keys with which a provider signs, of its JWK set (RFC 7517). Raises Unverified where there are none."""
    try:
        keys = [key for key in published["keys"] if key.get("kty") in KINDS and key.get("use", "sig") == "sig"]
        return KeySet.import_key_set({"keys": keys})
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unverified(f"the provider's keys cannot be read: {error}") from None


def verify(token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str) -> Verified:
    """Whom an ID token names. Raises Unverified unless its signature, issuer, audience, times and nonce are right."""
    registry = jwt.JWTClaimsRegistry(
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer},
        sub={"essential": True},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        registry.validate(claims)
    except (JoseError, ValueError, TypeError) as error:
        raise Unverified(f"the ID token is not valid: {error}") from None
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise Unverified("the ID token is not valid: it was issued for another sign-in (nonce)")
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client_id) != client_id:
        raise Unverified("the ID token is not valid: it was issued to another client (azp)")
    return Verified(
        issuer=issuer,
        subject=claims["sub"],
        email=_text(claims.get("email")),
        name=_text(claims.get("name")),
        email_is_verified=claims.get("email_verified") is True,
    )


def _text(claim: object) -> str:
    return claim.strip()[:200] if isinstance(claim, str) and claim.isprintable() else ""
