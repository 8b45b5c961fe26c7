"""Person: what a shopper told us of themselves and allowed, read from their personal history."""

import msgspec

from mesh.channels import MARKETING, ChannelName
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.history import History


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A shopper as far as they told us. Personal: never put into an event that crosses links, or a log.

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


def person(history: History) -> Person:
    """The latest of everything they told. Of consent, what they said of marketing: that is what offers are."""
    consent: dict[ChannelName, bool] = {}
    unsubscribed: set[ChannelName] = set()
    told: dict[str, str] = {}
    for received in history:
        match received.event:
            case CustomerIdentified() as identified:
                fields = {name: getattr(identified, name) for name in identified.__struct_fields__}
                told.update({name: value for name, value in fields.items() if value and name != "visitor_id"})
            case ConsentChanged(channel=channel, granted=granted, purpose=MARKETING.name):
                consent[channel] = granted
                if granted:
                    unsubscribed.discard(channel)
            case CustomerUnsubscribed(channel=channel, purpose=MARKETING.name):
                unsubscribed.add(channel)
    return Person(**told, consent=consent, unsubscribed=frozenset(unsubscribed))
