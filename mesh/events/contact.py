"""How often a shopper is contacted, so that a frequency cap holds even between carts, and who was asked to confirm."""

from datetime import datetime

import msgspec

from mesh.channels import ChannelName
from mesh.event import Event, event
from mesh.money import Money


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that counts towards the cap, when it was decided, and what its discount can cost at most.

    `abandonment_id` tells runs of a journey apart; `experiment` and `variant` say what its shopper was given there.
    """

    offer_id: str
    at: datetime
    journey: str | None = None
    discount: Money | None = None
    abandonment_id: str = ""
    experiment: str = ""
    variant: str = ""


@event(key="shopper")
class ContactReserved(Event):
    """A shopper's next contact was given to an offer. `recent` is the whole state: contacts inside the cap's window.

    Stored under each name of the shopper (a digest of device, customer or address): the cap counts people.
    """

    shopper: str
    recent: tuple[Contact, ...]


@event(key="address")
class ConfirmationRequested(Event):
    """The owner of an address is to be asked, by a mail, to confirm a visitor's consent (double opt-in).

    Stored before the mail is sent. `address` is a digest. `count` is how many such mails the address was given so far,
    this one among them; `request` the id of the event that led to it.
    """

    address: str
    visitor_id: str
    channel: ChannelName
    count: int
    request: str
    template_revision: int | None = None


@event(key="address")
class ConfirmationFailed(Event):
    """The mail that asks an address to confirm could not be sent."""

    address: str
    visitor_id: str
    channel: ChannelName
    reason: str
