"""How often a shopper is contacted, so that a frequency cap holds even between carts."""

from datetime import datetime

import msgspec

from mesh.event import Event, event


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that counts towards the cap, and when it was decided."""

    offer_id: str
    at: datetime
    journey: str | None = None


@event(key="shopper")
class ContactReserved(Event):
    """A shopper's next contact was given to an offer. `recent` is the whole state: contacts inside the cap's window.

    Stored under each name of the shopper (a digest of device, customer or address): the cap counts people.
    """

    shopper: str
    recent: tuple[Contact, ...]
