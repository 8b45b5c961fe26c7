"""Personal data: fields that are stored encrypted under a key of their person, and are gone when the key is destroyed.

AES-SIV (RFC 5297), which is deterministic: the same value of the same person has the same ciphertext, so that an event
that is published again is the same message. A value whose key was destroyed, or that a service may not read, is None.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from mesh.broker.protocol import Broker
from mesh.envelope import Received
from mesh.errors import Conflict
from mesh.event import Event, declaration_of, key_of
from mesh.state import State
from mesh.streams import Bucket

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

E = TypeVar("E", bound=Event)
PREFIX = "aes-siv:"
KEY_BITS = 512
"""AES-256 in SIV mode takes two keys of 256 bits."""


class PersonalKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key of one person's fields in one region, and when it was made."""

    secret: bytes
    made: datetime


PERSONAL_KEYS: Bucket[PersonalKey] = Bucket("personal-keys", PersonalKey, erasable=True)
"""By the key of the events: a visitor's or an order's id. Whoever may not read this bucket reads no encrypted field."""


class PersonalData:
    """Encrypts and decrypts the fields that events declare as `encrypted`, with the keys of one region.

    Keys are not remembered: what was destroyed cannot be read from the same moment on.
    """

    def __init__(self, broker: Broker) -> None:
        self._keys = State(broker, PERSONAL_KEYS)
        self.readable = True
        """Whether this service may read the keys; what it may not read is None for it."""

    async def encrypt(self, happened: E, key: PersonalKey | None = None) -> E:
        """The event as it is stored; a person without a key is given one. Raises Unavailable, Denied.

        Who has just asked for its person's `key` passes it, and it is not read again.
        """
        hidden = declaration_of(type(happened)).encrypted
        given = {name: value for name in hidden if (value := getattr(happened, name))} if hidden else {}
        if not given:
            return happened
        cipher = _cipher(key or await self.key_for(key_of(happened)))
        return msgspec.structs.replace(happened, **{name: _encrypt(cipher, value) for name, value in given.items()})

    async def decrypt(self, stored: Iterable[Received]) -> list[Received]:
        """The events as they were published. One key is read for each person."""
        ciphers: dict[str, AESSIV | None] = {}
        opened = []
        for received in stored:
            hidden = encrypted_fields(received.event)
            if hidden:
                person = key_of(received.event)
                if person not in ciphers:
                    ciphers[person] = await self._cipher_of(person)
                values = {name: _decrypt(ciphers[person], value) for name, value in hidden.items()}
                event = msgspec.structs.replace(received.event, **values)
                opened.append(msgspec.structs.replace(received, event=event))
            else:
                opened.append(received)
        return opened

    async def destroy(self, person: str) -> bool:
        """Overwrite a person's key where it is stored. Whether there was one."""
        return await self._keys.erase(person)

    async def key_for(self, person: str, *, probably_new: bool = False) -> PersonalKey:
        """A person's key, made where there is none; of one who is `probably_new` it is made without a look first.

        It is for what is stored now: whoever keeps it could read what was destroyed. Raises Unavailable, Denied.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # noqa: PLC0415  30 ms that only writers spend

        while True:
            known = None if probably_new else await self._keys.get(person)
            if known:
                return known
            probably_new = False
            made = PersonalKey(secret=AESSIV.generate_key(KEY_BITS), made=datetime.now(UTC))
            try:
                await self._keys.put(person, made, revision=0)
            except Conflict:
                continue  # another process made one at the same moment: there is one key
            return made

    async def _cipher_of(self, person: str) -> "AESSIV | None":
        key = await self._keys.get(person) if self.readable else None
        return _cipher(key) if key else None


def encrypts(kinds: Iterable[type[Event]]) -> bool:
    """Whether some of these events have encrypted fields."""
    return any(declaration_of(kind).encrypted for kind in kinds)


def encrypted_fields(happened: Event) -> dict[str, str]:
    """The fields of an event that are ciphertext."""
    values = {name: getattr(happened, name) for name in declaration_of(type(happened)).encrypted}
    return {name: value for name, value in values.items() if value and value.startswith(PREFIX)}


def _cipher(key: PersonalKey) -> "AESSIV":
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # noqa: PLC0415  30 ms that only readers spend

    return AESSIV(key.secret)


def _encrypt(cipher: "AESSIV", value: str) -> str:
    return PREFIX + cipher.encrypt(value.encode(), None).hex()


def _decrypt(cipher: "AESSIV | None", value: str) -> str | None:
    """The value; None when its key is gone, also when the person has a newer one since."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  see _cipher

    if cipher is None:
        return None
    try:
        return cipher.decrypt(bytes.fromhex(value.removeprefix(PREFIX)), None).decode()
    except (InvalidTag, ValueError):
        return None
