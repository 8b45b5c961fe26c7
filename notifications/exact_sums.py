"""Exact sums: figures per day that are at any time the sum over all records, kept beside them in one bucket.

An event may come twice, and others before it may come later. So a record is folded first, and what that changes of its
contributions is added to the sums. Record and sums are stored in one atomic batch, each on condition that it is as it
was read. Then the sums are copied to a second bucket, which has nothing else and is read by pages: a server looks for
a key through all that was stored after it, which in the first bucket is every record since (`mesh/decisions/0064`).
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from typing import Generic, Protocol, TypeVar

import msgspec
from cachetools import LRUCache

from mesh import Bucket, Mesh, Received
from mesh.errors import Conflict, Unavailable

TRIES = 20
AT_ONCE = 100
"""The most records of one batch, each with at most eight sums: a batch has room for 1,000 keys."""

Figures = dict[str, int]
"""What is counted, by name. A name may have a part behind a colon, as `dropped:no consent`."""
Contributions = Mapping[str, Mapping[str, Figures]]
"""What a record adds: by the key of a sum, by group (such as a journey)."""
R = TypeVar("R")
K = TypeVar("K")


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one key, by group, as they were stored beside the records at `revision`."""

    revision: int
    groups: dict[str, Figures]


class Kind(Protocol[R, K]):
    """What is recorded and summed: `K` is a value of `bucket`, which holds a record `R` or the sums of one key.

    `copy` has the sums alone. It is emptied before `bucket` where both are rebuilt (`projects`), so that nothing is
    copied of what was there before.
    """

    bucket: Bucket[K]
    copy: Bucket[Sums]

    def key(self, received: Received) -> str | None:
        """Where the record is that an event belongs to; None where it belongs to none."""
        ...

    def fold(self, record: R | None, events: Iterable[Received]) -> R:
        """The record after these events, whatever their order and however often each comes."""
        ...

    def contributions(self, record: R) -> Contributions:
        """What a record adds to the sums."""
        ...

    def record(self, kept: K) -> R | None:
        """The record of a value, or None."""
        ...

    def sums(self, kept: K) -> Mapping[str, Figures]:
        """The sums of a value, by group."""
        ...

    def keep_record(self, record: R) -> K:
        """A value that holds a record."""
        ...

    def keep_sums(self, sums: dict[str, Figures]) -> K:
        """A value that holds sums."""
        ...


class SumsWriter(Generic[R, K]):
    """Writes both buckets. It remembers the sums that it wrote: other servers may know them a moment later."""

    def __init__(self, mesh: Mesh, kind: Kind[R, K]) -> None:
        self._kind, self._state, self._one_at_a_time = kind, mesh.state(kind.bucket), asyncio.Lock()
        self._copy = mesh.state(kind.copy)
        self._sums: LRUCache[str, tuple[K | None, int]] = LRUCache(1_000)

    async def apply(self, events: Iterable[Received]) -> None:
        """Count events, whatever of them was counted before. Raises Unavailable.

        The sums are copied also where all was counted before: whoever did so may have been killed before it copied.
        """
        by_record: dict[str, list[Received]] = defaultdict(list)
        for received in events:
            if key := self._kind.key(received):
                by_record[key].append(received)
        keys, stored = list(by_record), dict[str, Sums]()
        async with self._one_at_a_time:
            for at in range(0, len(keys), AT_ONCE):
                stored |= await self._apply({key: by_record[key] for key in keys[at : at + AT_ONCE]})
            await self._copy.update_each({key: partial(newer, sums) for key, sums in stored.items()})

    async def _apply(self, by_record: dict[str, list[Received]]) -> dict[str, Sums]:
        """Store what these events change, and return all sums to which their records contribute."""
        for turn in range(TRIES):
            puts, sums = await self._changed(by_record)
            try:
                revisions = await self._state.put_all(puts)
            except Conflict:  # another process was quicker, or the bucket was emptied to be rebuilt
                self._sums.clear()
                await asyncio.sleep(random.uniform(0, 0.005 * turn))  # noqa: S311  jitter, not a secret
            else:
                sums |= {key: (puts[key][0], revisions[key]) for key in puts if key not in by_record}
                self._sums.update(sums)
                return {
                    key: Sums(revision=revision, groups=dict(self._kind.sums(kept)))
                    for key, (kept, revision) in sums.items()
                    if kept
                }
        raise Unavailable(f"bucket {self._kind.bucket.name}: written by others {TRIES} times in a row")

    async def _changed(
        self, by_record: dict[str, list[Received]]
    ) -> tuple[dict[str, tuple[K, int]], dict[str, tuple[K | None, int]]]:
        """What is to be stored, the records that these events change and the sums that follow; and the sums as read."""
        kind, puts = self._kind, dict[str, tuple[K, int]]()
        changes: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for key, (kept, revision) in (await self._state.entries(by_record)).items():
            before = kind.record(kept) if kept else None
            after = kind.fold(before, by_record[key])
            if after != before:
                puts[key] = kind.keep_record(after), revision
            if before is not None:
                _add(changes, kind.contributions(before), -1)
            _add(changes, kind.contributions(after), 1)
        sums = {key: self._sums[key] for key in changes if key in self._sums}
        sums |= await self._state.entries(key for key in changes if key not in sums)
        for key, (kept, revision) in sums.items():
            groups = kind.sums(kept) if kept else {}
            if (added := _added(groups, changes[key])) != groups:
                puts[key] = kind.keep_sums(added), revision
        return puts, sums


def newer(stored: Sums, copied: Sums | None) -> Sums:
    """What the copy is to be, given what it is: a process that is late must not bring older sums back."""
    return stored if copied is None or copied.revision < stored.revision else copied


async def read_sums(mesh: Mesh, copy: Bucket[Sums], keys: Iterable[str]) -> dict[str, dict[str, Figures]]:
    """The sums of these keys, by group. Without those that there are not. Raises Unavailable."""
    found = await mesh.state(copy).entries(keys)
    return {key: sums.groups for key, (sums, _) in found.items() if sums and sums.groups}


async def read_days(
    mesh: Mesh, copy: Bucket[Sums], regions: Iterable[str], days: Iterable[date]
) -> dict[tuple[str, date], dict[str, Figures]]:
    """The sums of these regions and days, by group. Without those that have none. Raises Unavailable."""
    keys = {day_key(region, day): (region, day) for day in days for region in regions}
    return {keys[key]: groups for key, groups in (await read_sums(mesh, copy, keys)).items()}


def day_key(region: str, day: date) -> str:
    """Where the sums of a region and day are."""
    return f"day-{region}-{day.isoformat()}"


def month_key(region: str, day: date) -> str:
    """Where the sums of a region and the month of a day are, of those that are summed by month too."""
    return f"month-{region}-{day:%Y-%m}"


def total(many: Iterable[Figures]) -> Figures:
    """All of them added up."""
    found: Figures = {}
    for figures in many:  # a year of many journeys is some 100,000 figures: a Counter takes twice as long
        for name, count in figures.items():
            found[name] = found.get(name, 0) + count
    return found


def _add(changes: dict[str, dict[str, Counter[str]]], contributions: Contributions, sign: int) -> None:
    for key, groups in contributions.items():
        for group, figures in groups.items():
            counted = changes[key][group]
            for name, count in figures.items():
                counted[name] += sign * count


def _added(before: Mapping[str, Figures], changes: Mapping[str, Counter[str]]) -> dict[str, Figures]:
    """Sorted, and without what is zero, so that equal figures are equal bytes."""
    after = dict(before)
    for group, change in changes.items():
        counted = total((before.get(group, {}), change))
        after[group] = {name: counted[name] for name in sorted(counted) if counted[name]}
    return {group: after[group] for group in sorted(after) if after[group]}
