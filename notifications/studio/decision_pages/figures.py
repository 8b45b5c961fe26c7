"""Figures: how many offers of each journey, day and region went which way, kept exact beside each offer's record.

An event may come twice, and others before it may come later. So an offer's record is folded first, and what that
changes of its contribution is added to the figures of its day. Record and figures are in one bucket and are stored in
one atomic batch, each on condition that it is as it was read: the figures are at any time the sum over all records.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, timedelta

import msgspec
from cachetools import LRUCache

from mesh import Bucket, Mesh, Received
from mesh.envelope import derive_id
from mesh.errors import Conflict, InvalidKey, Unavailable
from mesh.streams import mesh_stream
from mesh.subjects import token
from notifications.studio.decision_pages.offer_record import KINDS, Figures, OfferRecord, figures_of, fold

DURABLE = "studio-count-offers"
"""Whose place in the streams says what is counted."""
TRIES = 20
AT_ONCE = 100
"""The most offers of one batch, with at most twice as many days: a batch has room for 1,000 keys."""
LONGEST_ID = 100


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of the bucket: the record of one offer, or the figures of one region and day, by journey."""

    offer: OfferRecord | None = None
    day: dict[str, Figures] | None = None


FIGURES: Bucket[Kept] = Bucket("offer-figures", Kept, ttl=timedelta(days=400), rebuilt=True)
"""Every offer of the mesh, and every day. Kept as long as the events."""
Entries = dict[str, tuple[Kept | None, int]]


class FiguresWriter:
    """Writes the bucket. It remembers the days that it wrote: other servers may know them a moment later."""

    def __init__(self, mesh: Mesh) -> None:
        self._state, self._one_at_a_time = mesh.state(FIGURES), asyncio.Lock()
        self._days: LRUCache[str, tuple[Kept | None, int]] = LRUCache(1_000)

    async def apply(self, events: Iterable[Received]) -> None:
        """Count events, whatever of them was counted before. Raises Unavailable."""
        by_offer: dict[str, list[Received]] = defaultdict(list)
        for received in events:
            by_offer[offer_key(received.event.offer_id)].append(received)
        keys = list(by_offer)
        async with self._one_at_a_time:
            for at in range(0, len(keys), AT_ONCE):
                await self._apply({key: by_offer[key] for key in keys[at : at + AT_ONCE]})

    async def _apply(self, by_offer: dict[str, list[Received]]) -> None:
        for turn in range(TRIES):
            puts = await self._changed(by_offer)
            try:
                revisions = await self._state.put_all(puts)
            except Conflict:  # another process was quicker, or the bucket was emptied to be rebuilt
                self._days.clear()
                await asyncio.sleep(random.uniform(0, 0.005 * turn))  # noqa: S311  jitter, not a secret
            else:
                self._days.update({key: (puts[key][0], revisions[key]) for key in puts if puts[key][0].day is not None})
                return
        raise Unavailable(f"bucket {FIGURES.name}: written by others {TRIES} times in a row")

    async def _changed(self, by_offer: dict[str, list[Received]]) -> dict[str, tuple[Kept, int]]:
        """What is to be stored: the records that these events change, and the days' figures that follow."""
        puts: dict[str, tuple[Kept, int]] = {}
        changes: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for key, (kept, revision) in (await self._state.entries(by_offer)).items():
            before = kept.offer if kept and kept.offer else OfferRecord()
            after = fold(before, by_offer[key])
            if after == before:
                continue
            puts[key] = Kept(offer=after), revision
            for record, sign in ((before, -1), (after, 1)):
                if record.day is not None:
                    counted = changes[day_key(record.region, record.day)][record.journey]
                    for name, count in figures_of(record).items():
                        counted[name] += sign * count
        days = {key: self._days[key] for key in changes if key in self._days}
        days |= await self._state.entries(key for key in changes if key not in days)
        for key, (kept, revision) in days.items():
            figures = _added(kept.day if kept and kept.day else {}, changes[key])
            puts[key] = Kept(day=figures), revision
        return puts


def offer_key(offer_id: str) -> str:
    """Where an offer's record is. Clicks are reported by browsers, so an id may be any text."""
    try:
        name = token(offer_id) if len(offer_id) <= LONGEST_ID else derive_id("offer", offer_id)
    except InvalidKey:
        name = derive_id("offer", offer_id)
    return f"offer-{name}"


def day_key(region: str, day: date) -> str:
    """Where the figures of a region and day are."""
    return f"day-{region}-{day.isoformat()}"


async def read_days(
    mesh: Mesh, regions: Iterable[str], days: Iterable[date]
) -> dict[tuple[str, date], dict[str, Figures]]:
    """The figures of these regions and days, by journey, by one request. Without those that have none."""
    keys = {day_key(region, day): (region, day) for day in days for region in regions}
    found = await mesh.state(FIGURES).entries(keys)
    return {keys[key]: kept.day for key, (kept, _) in found.items() if kept and kept.day}


async def read_waiting(mesh: Mesh) -> int:
    """How many stored events are not counted yet, as after a rebuild was begun. Raises Unavailable."""
    streams = {mesh.stream_of(kind) for kind in KINDS} | ({mesh_stream(mesh.region)} if mesh.others else set())
    found = await asyncio.gather(*(mesh.broker.consumer_states(stream, [DURABLE]) for stream in sorted(streams)))
    return sum(state.pending + state.ack_pending for states in found for state in states.values())


async def read_offer(mesh: Mesh, offer_id: str) -> OfferRecord | None:
    """The record of an offer, or None."""
    kept = await mesh.state(FIGURES).get(offer_key(offer_id))
    return kept.offer if kept else None


def total(many: Iterable[Figures]) -> Figures:
    """All of them added up."""
    found: Counter[str] = Counter()
    for figures in many:
        found.update(figures)
    return dict(found)


def _added(before: dict[str, Figures], changes: dict[str, Counter[str]]) -> dict[str, Figures]:
    """Sorted, and without what is zero, so that equal figures are equal bytes."""
    after = dict(before)
    for journey, change in changes.items():
        counted = total((before.get(journey, {}), change))
        after[journey] = {name: counted[name] for name in sorted(counted) if counted[name]}
    return {journey: after[journey] for journey in sorted(after) if after[journey]}
