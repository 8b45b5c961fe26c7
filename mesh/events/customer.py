"""Who a visitor is and what they allow. Personal: never leaves the region."""

from typing import Annotated

import msgspec

from mesh.channels import ChannelName, PurposeName
from mesh.event import Event, event

ProofText = Annotated[str, msgspec.Meta(max_length=2_000)]
"""Where a consent was given, or the words that were agreed to. What is longer is refused where it is sent."""


@event(key="visitor_id", personal=True, encrypted=("email", "customer_id", "name", "locale", "time_zone", "phone"))
class CustomerIdentified(Event):
    """A visitor gave a name, address or customer id. `customer_id` is the same on all devices and in all regions.

    Every field but the visitor's id is stored encrypted, and is absent once the customer was erased.
    `by` is who reports it, `page` or `server`: anybody can send what a page can, so that only an address that the
    shop's server reports is confirmed. `phone` is a number in the form of E.164, which only the shop's server reports.
    """

    visitor_id: str
    email: str | None = None
    customer_id: str | None = None
    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    by: str = "page"
    phone: str | None = None


@event(key="visitor_id", personal=True, encrypted=("endpoint", "p256dh", "auth"))
class PushSubscribed(Event):
    """A visitor's browser takes notifications of the shop: where they go to, and for which keys they are encrypted.

    As the browser's `PushSubscription` has them (RFC 8030 and 8291, keys in base64url); the newest holds.
    """

    visitor_id: str
    endpoint: str | None = None
    p256dh: str | None = None
    auth: str | None = None
    by: str = "page"


@event(key="visitor_id", personal=True)
class ConsentChanged(Event):
    """A visitor allowed or forbade a channel for a purpose in the storefront, as a `page` or `server` reports it.

    A page's word lifts what a page refused, and nothing that a server or the link in a message refused.
    `where` and `wording` are the proof, where they were reported: the page or form, and the words that were agreed to.
    """

    visitor_id: str
    channel: ChannelName
    granted: bool
    purpose: PurposeName = "marketing"
    by: str = "page"
    where: ProofText | None = None
    wording: ProofText | None = None


@event(key="visitor_id", personal=True)
class ConsentConfirmed(Event):
    """A shopper confirmed, by the link in a mail to their address, that they may be written to (double opt-in).

    `address` is the digest of the address that the mail went to: it says nothing of any other address.
    `where` and `wording` are the proof: the page behind the link, and the words on it.
    """

    visitor_id: str
    channel: ChannelName
    address: str
    purpose: PurposeName = "marketing"
    where: ProofText | None = None
    wording: ProofText | None = None


@event(key="visitor_id", personal=True)
class CustomerUnsubscribed(Event):
    """A shopper unsubscribed with the link or button in a message: `where`, as the page that it leads to is named."""

    visitor_id: str
    channel: ChannelName
    offer_id: str
    purpose: PurposeName = "marketing"
    where: ProofText | None = None
