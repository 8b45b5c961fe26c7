"""Linking: what an identification or a refusal changes about a visitor's profile."""

from datetime import datetime

from mesh import Mesh, Received, Unchanged
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.profile import ProfileLinked, ProfileRefused
from mesh.profiles import customer_digest, names_of
from mesh.publish import Change, Draft

MOST_NAMES = 8
"""A visitor has so many names at most: a customer, and the newest addresses."""


async def linked(identified: CustomerIdentified, mesh: Mesh, *, time: datetime, trusted: bool) -> list[Change]:
    """The visitor's names after this identification, with the condition that they are still those that were read.

    A visitor who turns out to be another customer, or one without an account who gives another address, gives up the
    names from before: two people share the device. Who says so must be `trusted`, the shop's server: whoever has learnt
    a visitor's id could otherwise have the visitor's cart sent to themselves. Nothing where nothing changes.
    """
    visitor = identified.visitor_id
    given = names_of(identified.customer_id, identified.email)
    before = await mesh.last(ProfileLinked, visitor)
    known, unproven = (before.event.names, before.event.unproven) if before else ((), ())
    customer = customer_digest(identified.customer_id) if identified.customer_id else None
    same_account = customer is not None and customer in known
    proven = trusted or same_account or not known
    if not given or (proven and before and before.time > time):
        return []
    if proven:
        names = (*(known if same_account else ()), *(name for name in given if not same_account or name not in known))
        names, unproven = names if set(given) - set(known) else known, ()
    else:
        names, unproven = known, (*unproven, *(name for name in given if name not in known + unproven))
    names, unproven = _bounded(names), unproven[-MOST_NAMES:]
    ended = tuple(name for name in known if name not in names)
    event = ProfileLinked(visitor_id=visitor, names=names, ended=ended, unproven=unproven)
    if before and (event.names, event.unproven) == (before.event.names, before.event.unproven):
        return []
    at = max(time, before.time) if before else time
    return [Draft(event=event, time=at), Unchanged(ProfileLinked, visitor, before.sequence if before else 0)]


def _bounded(names: tuple[str, ...]) -> tuple[str, ...]:
    return (*names[:1], *names[1:][-MOST_NAMES + 1 :])


async def separated(visitor: str, mesh: Mesh) -> list[Change]:
    """A visitor who goes by no name any more, and so is a profile alone, until identified again."""
    before = await mesh.last(ProfileLinked, visitor)
    if before is None or not (before.event.names or before.event.unproven):
        return []
    event = ProfileLinked(visitor_id=visitor, names=(), ended=before.event.names)
    return [event, Unchanged(ProfileLinked, visitor, before.sequence)]


async def refused(received: Received[ConsentChanged | CustomerUnsubscribed], mesh: Mesh) -> list[Change]:
    """What a refusal means for the names that its visitor has; also a grant, which takes the visitor's own back."""
    event = received.event
    known = await mesh.last(ProfileLinked, event.visitor_id)
    no = isinstance(event, CustomerUnsubscribed) or not event.granted
    names = known.event.names if known else ()
    noted = ProfileRefused(
        visitor_id=event.visitor_id, channel=event.channel, refused=no, names=names, purpose=event.purpose
    )
    return [Draft(event=noted, time=received.time)]
