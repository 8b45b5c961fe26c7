"""Linking: what an identification or a refusal changes about a visitor's profile."""

from datetime import datetime, timedelta

from mesh import Mesh, Received, Retry, Unchanged
from mesh.accept import SERVER
from mesh.consent import consent_of
from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerIdentified, CustomerUnsubscribed
from mesh.events.profile import ProfileLinked, ProfileRefused
from mesh.profiles import customer_digest, names_of, read_profile, refusal_key
from mesh.publish import Change, Draft

Permission = ConsentChanged | ConsentConfirmed | CustomerUnsubscribed
MOST_NAMES = 8
"""A visitor has so many names at most: a customer, and the newest addresses."""


async def linked(identified: CustomerIdentified, mesh: Mesh, *, time: datetime, trusted: bool) -> list[Change]:
    """The visitor's names after this identification, with the condition that they are still those that were read.

    A visitor who turns out to be another customer, or one without an account who gives another address, or another
    number and no address, gives up the names from before: two people share the device. Who says so must be `trusted`,
    the shop's server: whoever has learnt a visitor's id could otherwise have the visitor's cart sent to themselves.
    Nothing where nothing changes.
    """
    visitor = identified.visitor_id
    given = names_of(identified.customer_id, identified.email, identified.phone if trusted else None)
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
    bot = before is not None and before.event.bot
    event = ProfileLinked(visitor_id=visitor, names=names, ended=ended, unproven=unproven, bot=bot)
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
    event = ProfileLinked(visitor_id=visitor, names=(), ended=before.event.names, bot=before.event.bot)
    return [event, Unchanged(ProfileLinked, visitor, before.sequence)]


async def refused(received: Received[Permission], mesh: Mesh) -> list[Change]:
    """What a refusal means for the names that its visitor has; also a grant, where that may lift one.

    What a page grants takes back the visitor's own refusal. What the shop's server grants, or the shopper confirms from
    their mailbox, takes back those of other devices with that address too, where it is confirmed to be theirs, as a
    number is that stands alone: the shop's server said it. Raises
    Retry while the visitor's history cannot be read up to this event.
    """
    event = received.event
    known = await mesh.last(ProfileLinked, event.visitor_id)
    names = known.event.names if known else ()
    no = isinstance(event, CustomerUnsubscribed) or (isinstance(event, ConsentChanged) and not event.granted)
    visitors = {event.visitor_id} if no else await _lifted(received, names, mesh)
    return [
        Draft(
            event=ProfileRefused(
                visitor_id=visitor, channel=event.channel, refused=no, names=names, purpose=event.purpose
            ),
            time=received.time,
        )
        for visitor in sorted(visitors)
    ]


async def _lifted(received: Received[Permission], names: tuple[str, ...], mesh: Mesh) -> set[str]:
    """The visitors whose refusal a grant lifts."""
    event = received.event
    history = await mesh.history(event.visitor_id, "customer")
    until = [one for one in history if one.sequence <= received.sequence]
    if not until or until[-1].sequence != received.sequence:
        raise Retry("the visitor's history is not readable yet", after=timedelta(milliseconds=25 * received.attempt))
    consent = consent_of(until, event.purpose)
    if isinstance(event, ConsentConfirmed) and event.address not in (consent.address, consent.phone):
        return set()
    if not consent.asked.get(event.channel) or event.channel in consent.unsubscribed:
        return set()
    by_page = isinstance(event, ConsentChanged) and event.by != SERVER
    by_number = isinstance(event, ConsentConfirmed) and event.address == consent.phone
    number_alone = consent.phone is not None and consent.address is None
    if by_page or not (consent.confirmed or by_number or number_alone):
        return {event.visitor_id}
    person = await read_profile(mesh, event.visitor_id, names)
    marks = person.refused.get(refusal_key(event.channel, event.purpose), {})
    return {event.visitor_id, *(visitor for visitor, mark in marks.items() if mark.on)}
