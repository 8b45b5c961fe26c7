"""Opaque tokens: random, handed out once, kept only as their digest, so that a bucket's reader cannot use them."""

import hashlib
import secrets

BYTES = 32


def new_token() -> str:
    """256 random bits as a URL-safe string."""
    return secrets.token_urlsafe(BYTES)


def digest(token: str, purpose: str) -> str:
    """The key under which a token, or a name that is not to be kept as it is, is stored; `purpose` separates uses.

    A plain SHA-256: the tokens are random, so there is nothing to guess that a slow hash would protect.
    """
    return hashlib.sha256(f"{purpose}:{token}".encode()).hexdigest()
