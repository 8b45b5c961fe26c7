"""Who a visitor is and what they allow. Personal: never leaves the region."""

from typing import Literal

from mesh.event import Event, event

Channel = Literal["email", "onsite"]


@event(key="visitor_id", personal=True)
class CustomerIdentified(Event):
    """A visitor said who they are. `customer_id` is the same on all their devices and in all regions."""

    visitor_id: str
    email: str
    customer_id: str | None = None
    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None


@event(key="visitor_id", personal=True)
class ConsentChanged(Event):
    """A visitor allowed or forbade a channel in the storefront."""

    visitor_id: str
    channel: Channel
    granted: bool


@event(key="visitor_id", personal=True)
class CustomerUnsubscribed(Event):
    """A shopper unsubscribed with the link or button in a message."""

    visitor_id: str
    channel: Channel
    offer_id: str
