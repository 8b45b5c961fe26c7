"""Shopper profile: what shoppers gave the shop about themselves and what they allowed, from their personal events."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from mesh.accept import SERVER
from mesh.channels import MARKETING, Channel, ChannelName
from mesh.consent import consent_of
from mesh.events.customer import CustomerIdentified, PushSubscribed
from mesh.events.profile import ProfileLinked
from mesh.history import History
from mesh.mesh import Mesh
from mesh.profiles import Profile, address_digest, names_of, phone_digest, push_digest, read_profile


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """Where a browser's notifications go to, and the keys that they are encrypted for, in base64url."""

    endpoint: str
    p256dh: str
    auth: str


class ShopperProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a shopper. Personal: never put into an event that crosses links, or into a log.

    `confirmed`: the shop's server reported the address, or its owner confirmed it. `consent` has only channels that
    they were asked about; what they unsubscribed from is in `unsubscribed` until it is lifted (`mesh.consent`).
    `phone` is the number that the shop's server reported, `push` this browser's subscription.
    """

    email: str | None = None
    confirmed: bool = False
    customer_id: str | None = None
    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    consent: dict[ChannelName, bool] = {}
    unsubscribed: frozenset[ChannelName] = frozenset()
    phone: str | None = None
    push: Subscription | None = None

    def address(self, channel: Channel) -> str | None:
        """Where a channel reaches them; None where that is not known, or the channel needs no address."""
        if channel.address == "push":
            return self.push.endpoint if self.push else None
        return getattr(self, channel.address) if channel.address else None

    def digest(self, channel: Channel) -> str | None:
        """The name that this address is."""
        address = self.address(channel)
        return DIGESTS[channel.address](address) if channel.address and address else None


DIGESTS: dict[str, Callable[[str], str]] = {"email": address_digest, "phone": phone_digest, "push": push_digest}
"""How an address becomes a name, by the field that holds it."""


CONTACTS = frozenset({"email", "phone"})


def profile_of(history: History) -> ShopperProfile:
    """The newest value of every field since another person was named; consent for marketing, which offers are."""
    fields: dict[str, str] = {}
    for received in history.of(CustomerIdentified):
        identified = received.event
        names = [name for name in ShopperProfile.__struct_fields__ if name in identified.__struct_fields__]
        names = [name for name in names if name != "phone" or identified.by == SERVER]
        given = {name: value for name in names if (value := getattr(identified, name))}
        if _is_another(given, fields):
            fields.clear()  # another person's name and language
        fields.update(given)
    consent = consent_of(history, MARKETING.name)
    return ShopperProfile(
        **fields,
        push=_subscription(history),
        confirmed=consent.confirmed,
        consent=consent.asked,
        unsubscribed=consent.unsubscribed,
    )


def _subscription(history: History) -> Subscription | None:
    """The browser's newest subscription; None where there is none, or it was erased."""
    for received in reversed(history.of(PushSubscribed)):
        event = received.event
        if event.endpoint and event.p256dh and event.auth:
            return Subscription(endpoint=event.endpoint, p256dh=event.p256dh, auth=event.auth)
        break
    return None


def _is_another(given: Mapping[str, str], before: Mapping[str, str]) -> bool:
    """Whether an identification is somebody else's: another address, or nothing in common with what was known.

    As `services.identity` links profiles.
    """
    if "email" in given and "email" in before:
        return address_digest(given["email"]) != address_digest(before["email"])
    if not (given.keys() & CONTACTS and before.keys() & CONTACTS):
        return False
    return not any(given.get(name, "") == before.get(name) for name in ("phone", "customer_id"))


async def shopper_of(visitor_id: str, mesh: Mesh, names: Iterable[str] = ()) -> tuple[ShopperProfile, Profile]:
    """What a visitor gave of themselves on this device, and their profile on all devices.

    What any other of their devices refused counts as refused here: the strictest wins. While a page contradicts what
    was known of the visitor (`ProfileLinked.unproven`), nobody is written to. Raises Unavailable.
    """
    profile = profile_of(await mesh.history(visitor_id, "customer"))
    linked = await mesh.last(ProfileLinked, visitor_id)  # read afterwards: it is stored before what contradicts
    person = await read_profile(
        mesh, visitor_id, (*names, *names_of(profile.customer_id, profile.email, profile.phone))
    )
    if linked and linked.event.unproven:
        profile = msgspec.structs.replace(profile, email=None, phone=None, push=None, name=None, confirmed=False)
    refused = person.refused_channels(MARKETING.name, besides=visitor_id)
    return msgspec.structs.replace(profile, unsubscribed=profile.unsubscribed | refused), person
