"""Profiles: which visitors are one person. Their names are digests, so that regions may exchange them."""

from mesh.channels import ChannelName, PurposeName
from mesh.event import Event, event


@event(key="visitor_id")
class ProfileLinked(Event):
    """A visitor goes by these names from now on: visitors with a name in common are one profile.

    `names` is the whole state, digests of a customer id and of e-mail addresses; `ended` those given up with it, which
    takes the visitor out of the profiles that have them. `unproven` are names that a page gave for a visitor who is
    known by others: their owners' purchases count, and nothing personal is sent until the shop's server says who it is.
    A `bot` has given an address that is known to be a crawler's: its carts are no shopper's.
    """

    visitor_id: str
    names: tuple[str, ...]
    ended: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()
    bot: bool = False


@event(key="visitor_id")
class ProfileRefused(Event):
    """A visitor refused a channel or unsubscribed from it, or (`refused` false) allowed it again.

    It holds for the visitor and for the `names` the visitor had then, on every device that has one of them.
    """

    visitor_id: str
    channel: ChannelName
    refused: bool
    names: tuple[str, ...] = ()
    purpose: PurposeName = "marketing"


@event(key="request")
class ProfileErasureRequested(Event):
    """Every region is to erase a person: the visitors, and all who have these names. `request` is a digest."""

    request: str
    visitors: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@event(key="request")
class ProfileErased(Event):
    """The proof that a region erased a person: how many keys were destroyed and records forgotten. No address in it.

    `visitor_ids` are whom the region erased: who keeps something of a visitor forgets it.
    """

    request: str
    region: str
    visitors: int
    keys: int
    records: int
    visitor_ids: tuple[str, ...] = ()
