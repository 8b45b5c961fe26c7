"""Server keys: which of the shop's own servers sends a request to an HTTP service."""

import hmac
from hashlib import blake2b

import msgspec

BEARER = {"WWW-Authenticate": "Bearer"}


class ServerKeySettings(msgspec.Struct, frozen=True, kw_only=True):
    """CARTMESH_SERVER_KEYS: the secret keys of the shop's own servers, separated by commas. Without one none is let in.

    They are the same for every service that takes something from the shop's servers.
    """

    server_keys: tuple[str, ...] = ()


class ServerKeys:
    """The keys that are valid."""

    def __init__(self, settings: ServerKeySettings) -> None:
        self._keys = [(key.encode(), scope_of(key)) for key in settings.server_keys]

    def scope(self, authorization: str | None) -> str | None:
        """The scope of the key in an `Authorization` header, None for a wrong one. Takes as long for either."""
        offered, found = (bearer(authorization) or "").encode("utf-8", "replace"), None
        for key, scope in self._keys:
            if hmac.compare_digest(key, offered):
                found = scope
        return found


def bearer(header: str | None) -> str | None:
    """The token of an `Authorization: Bearer <token>` header (RFC 6750), or None."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def scope_of(key: str) -> str:
    """What is kept of a key: ids that a sender chooses belong to its key's scope."""
    return blake2b(key.encode(), digest_size=4).hexdigest()
