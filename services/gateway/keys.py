"""Keys: who may write what, and which ids are whose."""

import hmac
from hashlib import blake2b

import msgspec

from mesh.errors import DeclarationError


class KeySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Keys, separated by commas.

    CARTMESH_WRITE_KEYS: the storefronts' keys. They are public and only allow writing what shoppers do.
    CARTMESH_SERVER_KEYS: secret keys of the shop's own servers, which may also say what its catalogue has.
    """

    write_keys: tuple[str, ...] = ("demo",)
    server_keys: tuple[str, ...] = ()


class WriteKeys:
    """The keys that are valid. A key's scope keeps its storefront's event ids apart from another's."""

    def __init__(self, keys: tuple[str, ...], server_keys: tuple[str, ...] = ()) -> None:
        if public := set(keys) & set(server_keys):
            raise DeclarationError(
                f"{len(public)} of CARTMESH_SERVER_KEYS are also in CARTMESH_WRITE_KEYS, which anyone can read: "
                "give the shop's servers keys of their own"
            )
        self._keys = [(key.encode(), blake2b(key.encode(), digest_size=4).hexdigest()) for key in (*keys, *server_keys)]
        self._server_keys = [key.encode() for key in server_keys]

    def scope(self, given: str | None) -> str | None:
        """The scope of a valid key, else None. Takes as long for a wrong key as for a right one."""
        offered, found = (given or "").encode("utf-8", "replace"), None
        for key, scope in self._keys:
            if hmac.compare_digest(key, offered):
                found = scope
        return found

    def is_server(self, given: str | None) -> bool:
        """Whether the key is one of the shop's own servers. Takes as long for a wrong key as for a right one."""
        offered, found = (given or "").encode("utf-8", "replace"), False
        for key in self._server_keys:
            found |= hmac.compare_digest(key, offered)
        return found


def bearer(header: str | None) -> str | None:
    """The token of an `Authorization: Bearer <token>` header (RFC 6750), or None."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
