"""Keys: who sends a request, by its key or its signature, and what may be sent with it."""

import hmac
import re
from datetime import timedelta
from hashlib import sha256

import msgspec

from mesh.accept import PAGE, SERVER, SIGNED
from mesh.errors import DeclarationError
from mesh.web.server_keys import scope_of
from mesh.web.signature import TOLERANCE, verify
from services.gateway.judged import Sender

SHORTEST_SECRET = 16
"""Characters. Whoever guesses a party's secret reports parcels in its name."""


class KeySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Keys, separated by commas.

    CARTMESH_WRITE_KEYS: the storefronts' keys. They stand in web pages, so anybody can send with them.
    CARTMESH_SERVER_KEYS: secret keys of the shop's own servers. CARTMESH_KEY_TYPES: `<key>=<type>`, once for each type
    of event that a key may send; a key that is not named may send all that its kind may.

    CARTMESH_WEBHOOK_SECRETS: `<name>=<secret>` for each party that signs its requests, such as a carrier, and twice
    while its secret is changed. CARTMESH_WEBHOOK_TOLERANCE: how old a signature may be.
    """

    write_keys: tuple[str, ...] = ("demo",)
    server_keys: tuple[str, ...] = ()
    key_types: tuple[str, ...] = ()
    webhook_secrets: tuple[str, ...] = ()
    webhook_tolerance: timedelta = TOLERANCE


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
        self._names, self._tolerance = _names(settings), settings.webhook_tolerance

    def sender(self, header: str | None, query: str | None = None) -> Sender | None:
        """Whose key it is, else None. Takes as long for a wrong key as for a right one.

        A key in the address is written into logs on its way: a server's key is taken from the header alone.
        """
        offered, found = (header or query or "").encode("utf-8", "replace"), None
        for key, sender in self._senders:
            if hmac.compare_digest(key, offered) and (header or sender.by == PAGE):
                found = sender
        return found

    def signer(self, body: bytes, signature: str) -> Sender:
        """Who signed a request's body, by Stripe's scheme. Raises BadSignature.

        Its events' ids belong to its name, so that a request is known again when the secret was changed.
        """
        secret = verify(body, signature, self._names, tolerance=self._tolerance)
        return Sender(scope=f"signed_{self._names[secret]}", by=SIGNED)

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


def _names(settings: KeySettings) -> dict[str, str]:
    """The parties that sign their requests, by their secrets."""
    found: dict[str, str] = {}
    for text in settings.webhook_secrets:
        name, _, secret = text.partition("=")
        if not re.fullmatch("[a-z0-9_]{1,40}", name) or len(secret) < SHORTEST_SECRET:
            raise DeclarationError(
                f"CARTMESH_WEBHOOK_SECRETS: {name[:40]!r}: write <name>=<secret>, the name of a-z, 0-9 and _, the "
                f"secret of {SHORTEST_SECRET} characters or more"
            )
        if found.setdefault(secret, name) != name:
            raise DeclarationError(f"CARTMESH_WEBHOOK_SECRETS: {name} and {found[secret]} have the same secret")
    return found
