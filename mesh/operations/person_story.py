"""Person story: everything the log holds about one person: their devices, carts, orders, timers and offers.

Who belongs together is read from the profiles of every region (`mesh.profiles`). A shared cart brings its own events,
and not the whole story of everybody who touched it.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime

import msgspec

from mesh.errors import Unavailable
from mesh.mesh import Mesh
from mesh.operations.causal_tree import TracedEvent
from mesh.operations.log_reader import LogReader
from mesh.profiles import digests_of, names_of, read_profile, visitor_digest

MOST_KEYS = 2_000
_FOLLOWED = ("cart_id", "order_id", "run_id")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose story is asked for: by one of these. A customer's or order's id is what the shop calls it."""

    visitor: str | None = None
    customer: str | None = None
    cart: str | None = None
    order: str | None = None


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is as far as these regions know.

    `visitors` are their devices, `names` digests of their customer ids and addresses, which link the devices.
    """

    visitors: tuple[str, ...]
    names: tuple[str, ...]
    carts: tuple[str, ...]
    orders: tuple[str, ...]


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """A person and the events about them. `cut`: they have more keys than are followed."""

    person: Person
    events: tuple[TracedEvent, ...]
    cut: bool = False


async def story_of(
    meshes: Sequence[Mesh], subject: Subject, *, since: datetime | None = None, personal: bool = False
) -> Story:
    """The whole story of a person, from all these regions; only what was stored `since` a time, where one is given.

    No events where nothing is known of them. Raises Unavailable.
    """
    reader = LogReader(meshes, personal=personal)
    asked = [key for key in (subject.cart, subject.order) if key]
    first = await reader.under(asked)
    visitors = dict.fromkeys(filter(None, (subject.visitor, *(one.data.get("visitor_id") for one in first))))
    visitors, names, known_carts = await _profile(meshes, visitors, names_of(subject.customer))
    carts = dict.fromkeys((*known_carts, *([subject.cart] if subject.cart else [])))
    found, cut = list(first), False
    fresh = [
        *visitors,
        *digests_of(None, names=names),
        *map(visitor_digest, visitors),
        *carts,
        *_further(first, visitors),
    ]
    while fresh:
        room = MOST_KEYS - len(reader.read)
        cut = cut or len(fresh) > room
        more = await reader.under(fresh[:room])
        found += more
        fresh = [key for key in _further(more, visitors) if key not in reader.read] if room > len(fresh) else []
    carts |= dict.fromkeys(_values(found, "cart_id", visitors))
    found += await reader.timers_of(visitors, carts)
    reader.keep(one for one in found if since is None or one.due or one.stored >= since)
    await reader.add_dead_letters()
    person = Person(
        visitors=tuple(visitors), names=names, carts=tuple(carts), orders=tuple(_values(found, "order_id", visitors))
    )
    return Story(person=person, events=tuple(reader.events.values()), cut=cut)


async def _profile(
    meshes: Sequence[Mesh], visitors: dict[str, None], names: Iterable[str]
) -> tuple[dict[str, None], tuple[str, ...], tuple[str, ...]]:
    """All visitors, names and carts of a person: what has not reached one region yet, another may know."""
    known, carts, before = dict.fromkeys(names), dict[str, None](), -1
    while before < len(visitors) + len(known):
        before = len(visitors) + len(known)
        for mesh in meshes:
            for visitor in tuple(visitors) or (None,):
                with suppress(Unavailable):  # a mesh without the service that keeps profiles: each device is a person
                    profile = await read_profile(mesh, visitor, tuple(known))
                    visitors |= dict.fromkeys(profile.visitors)
                    known |= dict.fromkeys(profile.names)
                    carts |= dict.fromkeys(profile.carts)
    return visitors, tuple(known), tuple(carts)


def _further(events: Iterable[TracedEvent], visitors: Iterable[str]) -> list[str]:
    return [key for name in _FOLLOWED for key in _values(events, name, visitors)]


def _values(events: Iterable[TracedEvent], name: str, visitors: Iterable[str]) -> list[str]:
    """What a field holds in the events that are about these visitors, or name no visitor."""
    known = set(visitors)
    values = (
        one.data.get(name) for one in events if one.data.get("visitor_id") in known or not one.data.get("visitor_id")
    )
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))
