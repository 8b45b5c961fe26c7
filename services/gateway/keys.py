"""Keys: who sends a request, and what a key may send."""

import hmac
from hashlib import sha256

import msgspec

from mesh.accept import PAGE, SERVER
from mesh.errors import DeclarationError
from mesh.web.server_keys import scope_of
from services.gateway.intake import Sender


class KeySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Keys, separated by commas.

    CARTMESH_WRITE_KEYS: the storefronts' keys. They stand in web pages, so anybody can send with them.
    CARTMESH_SERVER_KEYS: secret keys of the shop's own servers. CARTMESH_KEY_TYPES: `<key>=<type>`, once for each type
    of event that a key may send; a key that is not named may send all that its kind may.
    """

    write_keys: tuple[str, ...] = ("demo",)
    server_keys: tuple[str, ...] = ()
    key_types: tuple[str, ...] = ()


class Keys:
    """The keys that are valid."""

    def __init__(self, settings: KeySettings) -> None:
        if public := set(settings.write_keys) & set(settings.server_keys):
            raise DeclarationError(
                f"{len(public)} of CARTMESH_SERVER_KEYS are also in CARTMESH_WRITE_KEYS, which anyone can read: "
                "give the shop's servers keys of their own"
            )
        types = _types(settings)
        self._senders = [
            (key.encode(), Sender(scope=scope_of(key), by=by, types=types.get(key)))
            for by, keys in ((PAGE, settings.write_keys), (SERVER, settings.server_keys))
            for key in keys
        ]
        self._server_keys = [key.encode() for key in settings.server_keys]

    def sender(self, header: str | None, query: str | None = None) -> Sender | None:
        """Whose key it is, else None. Takes as long for a wrong key as for a right one.

        A key in the address is written into logs on its way: a server's key is taken from the header alone.
        """
        offered, found = (header or query or "").encode("utf-8", "replace"), None
        for key, sender in self._senders:
            if hmac.compare_digest(key, offered) and (header or sender.by == PAGE):
                found = sender
        return found

    def signed(self, value: str, signature: str | None) -> bool:
        """Whether one of the shop's servers signed a value: HMAC-SHA256 with its key, in hexadecimal."""
        found = False
        for key in self._server_keys:
            found |= hmac.compare_digest(hmac.digest(key, value.encode(), sha256).hex(), signature or "")
        return found


def _types(settings: KeySettings) -> dict[str, frozenset[str]]:
    """The types that each key may send, where they are limited."""
    found: dict[str, frozenset[str]] = {}
    for text in settings.key_types:
        key, _, type_ = text.rpartition("=")
        if key not in (*settings.write_keys, *settings.server_keys) or not type_:
            raise DeclarationError(f"CARTMESH_KEY_TYPES: {type_!r}: write <key>=<type>, with a key that is set")
        found[key] = found.get(key, frozenset()) | {type_}
    return found
