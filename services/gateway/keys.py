"""Write keys: who may write, and which ids are whose."""

import hmac
from hashlib import blake2b

import msgspec


class KeySettings(msgspec.Struct, frozen=True, kw_only=True):
    """CARTMESH_WRITE_KEYS: the storefronts' keys, separated by commas. They are public and only allow writing."""

    write_keys: tuple[str, ...] = ("demo",)


class WriteKeys:
    """The keys that are valid. A key's scope keeps its storefront's event ids apart from another's."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = [(key.encode(), blake2b(key.encode(), digest_size=4).hexdigest()) for key in keys]

    def scope(self, given: str | None) -> str | None:
        """The scope of a valid key, else None. Takes as long for a wrong key as for a right one."""
        offered, found = (given or "").encode("utf-8", "replace"), None
        for key, scope in self._keys:
            if hmac.compare_digest(key, offered):
                found = scope
        return found


def bearer(header: str | None) -> str | None:
    """The token of an `Authorization: Bearer <token>` header (RFC 6750), or None."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
