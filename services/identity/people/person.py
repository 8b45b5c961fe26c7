"""Person: what this region knows of somebody: their devices, carts, consent and its proof, and what they said."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from mesh import Mesh, Received
from mesh.channels import CHANNELS
from mesh.consent import Consent, consent_of
from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerIdentified, CustomerUnsubscribed
from mesh.profiles import MOST_CARTS, read_profile

FIELDS = {
    "email": "E-mail address",
    "phone": "Telephone number",
    "name": "Name",
    "customer_id": "Customer",
    "locale": "Language",
    "time_zone": "Time zone",
}
"""What shoppers say of themselves, as people read it."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One browser or device: what it was identified with, and what it allows for marketing."""

    visitor_id: str
    consent: Consent
    identified: dict[str, str]
    """By field of `FIELDS`. Personal."""

    @property
    def known_by(self) -> str:
        """How they can be written to, without the address itself."""
        confirmed = "confirmed" if self.consent.confirmed else "not confirmed"
        known = [f"e-mail address, {confirmed}"] if self.consent.address else []
        known += ["telephone number"] if self.consent.phone else []
        return "; ".join(known) or "no address or number"


class ConsentProof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of a consent or refusal: when and on which device, by whose word, and what was said."""

    at: datetime
    visitor_id: str
    words: str
    by: str


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody who shares a name with a visitor, as far as it is known here."""

    visitor_id: str
    devices: tuple[Device, ...]
    names: int
    carts: tuple[str, ...]
    regions: tuple[str, ...]
    bot: bool
    said: tuple[ConsentProof, ...]

    @property
    def is_known(self) -> bool:
        """Whether anything is known of them."""
        return bool(
            self.names or self.carts or self.regions or self.said or any(one.identified for one in self.devices)
        )

    @property
    def many_carts(self) -> bool:
        """Whether there may be more carts than are remembered."""
        return len(self.carts) >= MOST_CARTS


async def read_person(mesh: Mesh, visitor_id: str) -> Person:
    """The person whose device this is. Raises Unavailable, InvalidKey for what can be no visitor's id."""
    profile = await read_profile(mesh, visitor_id)
    devices, said = [], list[ConsentProof]()
    for visitor in sorted(profile.visitors, key=lambda one: (one != visitor_id, one)):
        history = await mesh.history(visitor, "customer")
        devices.append(Device(visitor_id=visitor, consent=consent_of(history), identified=dict(_identified(history))))
        said += (found for one in history if (found := _said(one)) is not None)
    return Person(
        visitor_id=visitor_id,
        devices=tuple(devices),
        names=len(profile.names),
        carts=tuple(sorted(profile.carts)),
        regions=profile.regions,
        bot=profile.bot,
        said=tuple(sorted(said, key=lambda one: one.at, reverse=True)),
    )


def _identified(history: Iterable[Received]) -> Iterator[tuple[str, str]]:
    """The newest value of each field."""
    for received in history:
        if isinstance(received.event, CustomerIdentified):
            yield from (
                (name, str(value)) for name in FIELDS if (value := getattr(received.event, name, None)) is not None
            )


def _said(received: Received) -> ConsentProof | None:
    """What an event proves of a consent."""
    match received.event:
        case ConsentChanged(channel=channel, granted=granted, purpose=purpose, by=by):
            words, whose = f"{'allowed' if granted else 'refused'} {_about(channel, purpose)}", _WORD.get(by, by)
        case ConsentConfirmed(channel=channel, purpose=purpose):
            words, whose = f"confirmed {_about(channel, purpose)}", "the link in a message to their address or number"
        case CustomerUnsubscribed(channel=channel, purpose=purpose):
            words, whose = f"unsubscribed from {_about(channel, purpose)}", "the link in a message"
        case _:
            return None
    words += _proof(received.event.where, getattr(received.event, "wording", None))
    return ConsentProof(at=received.event_time, visitor_id=received.event.visitor_id, words=words, by=whose)


def _proof(where: str | None, wording: str | None) -> str:
    """Where it was said and what was agreed to, as far as that was reported."""
    return (f", on {where}" if where else "") + (f": “{wording}”" if wording else "")


_WORD = {"page": "a page of the shop", "server": "the shop's server"}


def _about(channel: str, purpose: str) -> str:
    known = CHANNELS.get(channel)
    return f"{known.title if known else channel} for {purpose}"
