"""Shopper profile: what shoppers told the shop about themselves and what they allowed, from their personal events."""

import msgspec

from mesh.channels import MARKETING, ChannelName
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.history import History


class ShopperProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a shopper. Personal: never put into an event that crosses links, or into a log.

    `consent` has only channels that they were asked about; a channel that was granted again after
    unsubscribing is not in `unsubscribed`.
    """

    email: str | None = None
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
    for received in history:
        match received.event:
            case CustomerIdentified() as identified:
                names = [name for name in ShopperProfile.__struct_fields__ if name in identified.__struct_fields__]
                fields.update({name: value for name in names if (value := getattr(identified, name))})
            case ConsentChanged(channel=channel, granted=granted, purpose=MARKETING.name):
                consent[channel] = granted
                if granted:
                    unsubscribed.discard(channel)
            case CustomerUnsubscribed(channel=channel, purpose=MARKETING.name):
                unsubscribed.add(channel)
    return ShopperProfile(**fields, consent=consent, unsubscribed=frozenset(unsubscribed))
