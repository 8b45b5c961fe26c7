"""Consent: what a visitor allows by each channel, and whose word lifts a refusal.

A page's word is enough to refuse, and to take back what a page refused. What the shop's server refused, and what the
shopper refused by the link in a message, is lifted by the server alone, or by the shopper's own confirmation from the
mailbox of the visitor's address (double opt-in). `mesh/decisions/0025` says why.
"""

from collections.abc import Iterable

import msgspec

from mesh.accept import SERVER
from mesh.channels import MARKETING, ChannelName
from mesh.envelope import Received
from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerIdentified, CustomerUnsubscribed
from mesh.profiles import address_digest, phone_digest


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What a visitor allows for one purpose. `asked` has only channels that they were asked about.

    `address` is the digest of the visitor's newest address; `confirmed`: the shop's server reported that address, or
    its owner confirmed it. `phone` is that of their telephone number.
    """

    asked: dict[ChannelName, bool] = {}
    unsubscribed: frozenset[ChannelName] = frozenset()
    address: str | None = None
    confirmed: bool = False
    phone: str | None = None


def consent_of(  # noqa: C901  one branch per kind of event
    customer_events: Iterable[Received], purpose: str = MARKETING.name, *, address: str | None = None
) -> Consent:
    """The consent as of a visitor's events of the domain `customer`, oldest first.

    `address` is the digest of the visitor's address, for those who may not read it in the events.
    """
    asked: dict[ChannelName, bool] = {}
    unsubscribed: set[ChannelName] = set()
    refused_by_server: set[ChannelName] = set()
    confirmed: set[str] = set()
    phone: str | None = None
    account: str | None = None
    for received in customer_events:
        match received.event:
            case CustomerIdentified(email=email, phone=number, by=by, customer_id=customer):
                named = phone_digest(number) if number and by == SERVER else None
                if named and named != phone and not email and not (customer and customer == account):
                    address = None  # somebody else, who is known by this number alone
                account = customer or account
                address = address_digest(email) if email else address
                if by == SERVER:
                    phone = named or phone
                    confirmed |= {address_digest(email)} if email else set()
            case ConsentConfirmed(channel=channel, address=at, purpose=about):
                confirmed.add(at)
                if at in (address, phone) and about == purpose:
                    asked[channel] = True
                    unsubscribed.discard(channel)
                    refused_by_server.discard(channel)
            case ConsentChanged(channel=channel, granted=granted, by=by, purpose=about) if about == purpose:
                if not granted:
                    asked[channel] = False
                    refused_by_server |= {channel} if by == SERVER else set()
                elif by == SERVER:
                    asked[channel] = True
                    unsubscribed.discard(channel)
                    refused_by_server.discard(channel)
                elif channel not in refused_by_server:
                    asked[channel] = True
            case CustomerUnsubscribed(channel=channel, purpose=about) if about == purpose:
                unsubscribed.add(channel)
    return Consent(
        asked=asked,
        unsubscribed=frozenset(unsubscribed),
        address=address,
        confirmed=address in confirmed,
        phone=phone,
    )
