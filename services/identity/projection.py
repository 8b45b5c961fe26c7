"""Projection: events as records of the profile store, and the store's one writer."""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial

from cachetools import LRUCache

from mesh import Mesh, Received
from mesh.events.cart import CartUpdated
from mesh.events.order import OrderPlaced
from mesh.events.profile import ProfileErasureRequested, ProfileLinked, ProfileRefused
from mesh.profiles import PROFILES, Mark, Record, customer_digest, name_key, refusal_key, visitor_key

KINDS = (CartUpdated, OrderPlaced, ProfileLinked, ProfileRefused, ProfileErasureRequested)
MOST_REMEMBERED = 20_000


def records_of(received: Received, home: str) -> Iterable[tuple[str, Record]]:  # noqa: C901  one branch per kind of event
    """What an event adds to which record. Carts are kept where they are, sightings where they are not."""
    at = received.event_time
    match received.event:
        case CartUpdated(visitor_id=visitor, customer_id=customer, cart_id=cart):
            here = Record(carts={cart: at.date()})
            yield visitor_key(visitor), here if received.region == home else _seen(received)
            yield from _customer(visitor, customer, received, home)
        case OrderPlaced(visitor_id=visitor, customer_id=customer):
            if received.region != home:
                yield visitor_key(visitor), _seen(received)
            yield from _customer(visitor, customer, received, home)
        case ProfileLinked(visitor_id=visitor, names=names, ended=ended, bot=bot):
            linked = Mark(at=at, id=received.id, on=True)
            yield visitor_key(visitor), Record(names=tuple(sorted(names)), named=linked, bot=at if bot else None)
            for name in names:
                yield name_key(name), Record(visitors={visitor: linked})
            for name in set(ended) - set(names):
                yield name_key(name), Record(visitors={visitor: Mark(at=at, id=received.id, on=False)})
        case ProfileRefused(visitor_id=visitor, channel=channel, purpose=purpose, names=names):
            mark = Mark(at=at, id=received.id, on=received.event.refused)
            refused = Record(refused={refusal_key(channel, purpose): {visitor: mark}})
            for key in (visitor_key(visitor), *map(name_key, names)):
                yield key, refused
        case ProfileErasureRequested(visitors=visitors, names=names):
            for key in (*map(visitor_key, visitors), *map(name_key, names)):
                yield key, Record(erased=received.time)


def _customer(visitor: str, customer: str | None, received: Received, home: str) -> Iterable[tuple[str, Record]]:
    """A cart or order that names a customer links its visitor, as of the day: more exactly is not worth a write."""
    if customer:
        at = received.event_time
        day = Mark(at=at.replace(hour=0, minute=0, second=0, microsecond=0), id="", on=True)
        elsewhere = _seen(received) if received.region != home else Record()
        yield name_key(customer_digest(customer)), Record(visitors={visitor: day}).merged(elsewhere)


def _seen(received: Received) -> Record:
    at = received.event_time
    return Record(regions={received.region: at.replace(minute=0, second=0, microsecond=0)})


def _merged(before: Record | None, *, added: Record) -> Record:
    return (before or Record()).merged(added)


class Profiles:
    """Writes the store. It remembers what it wrote: a record is read only where it does not, and written if changed."""

    def __init__(self, mesh: Mesh) -> None:
        self._state, self._home = mesh.state(PROFILES), mesh.region
        self._written: LRUCache[str, tuple[Record | None, int]] = LRUCache(MOST_REMEMBERED)
        self._last: dict[bool, int] = {}

    async def apply(self, events: Iterable[Received]) -> None:
        """Bring events into the store: all their records in one batch. Raises Unavailable."""
        added: dict[str, Record] = defaultdict(Record)
        for received in events:
            self._forget_if_rewound(received)
            for key, record in records_of(received, self._home):
                added[key] = added[key].merged(record)
        known = {key: self._written.pop(key) for key in added if key in self._written}
        changes = {key: partial(_merged, added=record) for key, record in added.items()}
        done = await self._state.update_each(changes, known=known)
        self._written.update((key, (update.after, update.revision)) for key, update in done.items())

    def _forget_if_rewound(self, received: Received) -> None:
        """An older event than the last comes again, perhaps because the bucket was emptied to be rebuilt."""
        stream = received.region == self._home
        if received.sequence <= self._last.get(stream, 0):
            self._written.clear()
        self._last[stream] = received.sequence
