"""Shopper profile: what shoppers gave the shop about themselves and what they allowed, from their personal events."""

from collections.abc import Iterable

import msgspec

from mesh.accept import SERVER
from mesh.channels import MARKETING, ChannelName
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.history import History
from mesh.mesh import Mesh
from mesh.profiles import Profile, names_of, read_profile


class ShopperProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a shopper. Personal: never put into an event that crosses links, or into a log.

    `confirmed`: the shop's server reported the address. `consent` has only channels that they were asked about; a
    channel that was granted again after unsubscribing is not in `unsubscribed`.
    """

    email: str | None = None
    confirmed: bool = False
    customer_id: str | None = None
    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    consent: dict[ChannelName, bool] = {}
    unsubscribed: frozenset[ChannelName] = frozenset()


def profile_of(history: History) -> ShopperProfile:
    """The newest value of every field; consent as far as it concerns marketing, which offers are."""
    consent: dict[ChannelName, bool] = {}
    unsubscribed: set[ChannelName] = set()
    fields: dict[str, str] = {}
    confirmed: set[str] = set()
    for received in history:
        match received.event:
            case CustomerIdentified() as identified:
                names = [name for name in ShopperProfile.__struct_fields__ if name in identified.__struct_fields__]
                fields.update({name: value for name in names if (value := getattr(identified, name))})
                if identified.by == SERVER and identified.email:
                    confirmed.add(identified.email)
            case ConsentChanged(channel=channel, granted=granted, purpose=MARKETING.name):
                consent[channel] = granted
                if granted:
                    unsubscribed.discard(channel)
            case CustomerUnsubscribed(channel=channel, purpose=MARKETING.name):
                unsubscribed.add(channel)
    return ShopperProfile(
        **fields,
        confirmed=fields.get("email") in confirmed,
        consent=consent,
        unsubscribed=frozenset(unsubscribed),
    )


async def shopper_of(visitor_id: str, mesh: Mesh, names: Iterable[str] = ()) -> tuple[ShopperProfile, Profile]:
    """What a visitor gave of themselves on this device, and their profile on all devices.

    What any other of their devices refused counts as refused here: the strictest wins. Raises Unavailable.
    """
    profile = profile_of(await mesh.history(visitor_id, "customer"))
    person = await read_profile(mesh, visitor_id, (*names, *names_of(profile.customer_id, profile.email)))
    refused = person.refused_channels(MARKETING.name, besides=visitor_id)
    return msgspec.structs.replace(profile, unsubscribed=profile.unsubscribed | refused), person
