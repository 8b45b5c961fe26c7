"""Exact sums: figures per day that are at any time the sum over all records, kept beside them in one bucket.

An event may come twice, and others before it may come later. So a record is folded first, and what that changes of its
contributions is added to the sums. Record and sums are stored in one atomic batch, each on condition that it is as it
was read.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Generic, Protocol, TypeVar

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


class Kind(Protocol[R, K]):
    """What is recorded and summed: `K` is a value of the bucket, which holds a record `R` or the sums of one key."""

    bucket: Bucket[K]

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
    """Writes the bucket. It remembers the sums that it wrote: other servers may know them a moment later."""

    def __init__(self, mesh: Mesh, kind: Kind[R, K]) -> None:
        self._kind, self._state, self._one_at_a_time = kind, mesh.state(kind.bucket), asyncio.Lock()
        self._sums: LRUCache[str, tuple[K | None, int]] = LRUCache(1_000)

    async def apply(self, events: Iterable[Received]) -> None:
        """Count events, whatever of them was counted before. Raises Unavailable."""
        by_record: dict[str, list[Received]] = defaultdict(list)
        for received in events:
            if key := self._kind.key(received):
                by_record[key].append(received)
        keys = list(by_record)
        async with self._one_at_a_time:
            for at in range(0, len(keys), AT_ONCE):
                await self._apply({key: by_record[key] for key in keys[at : at + AT_ONCE]})

    async def _apply(self, by_record: dict[str, list[Received]]) -> None:
        for turn in range(TRIES):
            puts = await self._changed(by_record)
            try:
                revisions = await self._state.put_all(puts)
            except Conflict:  # another process was quicker, or the bucket was emptied to be rebuilt
                self._sums.clear()
                await asyncio.sleep(random.uniform(0, 0.005 * turn))  # noqa: S311  jitter, not a secret
            else:
                self._sums.update({key: (puts[key][0], revisions[key]) for key in puts if key not in by_record})
                return
        raise Unavailable(f"bucket {self._kind.bucket.name}: written by others {TRIES} times in a row")

    async def _changed(self, by_record: dict[str, list[Received]]) -> dict[str, tuple[K, int]]:
        """What is to be stored: the records that these events change, and the sums that follow."""
        kind, puts = self._kind, dict[str, tuple[K, int]]()
        changes: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for key, (kept, revision) in (await self._state.entries(by_record)).items():
            before = kind.record(kept) if kept else None
            after = kind.fold(before, by_record[key])
            if after == before:
                continue
            puts[key] = kind.keep_record(after), revision
            if before is not None:
                _add(changes, kind.contributions(before), -1)
            _add(changes, kind.contributions(after), 1)
        sums = {key: self._sums[key] for key in changes if key in self._sums}
        sums |= await self._state.entries(key for key in changes if key not in sums)
        for key, (kept, revision) in sums.items():
            puts[key] = kind.keep_sums(_added(kind.sums(kept) if kept else {}, changes[key])), revision
        return puts


def day_key(region: str, day: date) -> str:
    """Where the sums of a region and day are."""
    return f"day-{region}-{day.isoformat()}"


def total(many: Iterable[Figures]) -> Figures:
    """All of them added up."""
    found: Counter[str] = Counter()
    for figures in many:
        found.update(figures)
    return dict(found)


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
