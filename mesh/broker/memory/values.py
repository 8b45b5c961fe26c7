"""Values: the buckets and object stores of one region in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from mesh.broker.memory.alarms import Alarms
from mesh.broker.values import Entry
from mesh.errors import Conflict


@dataclass
class Values:
    """One bucket: the newest entry per key, revisions counted over the whole bucket."""

    name: str
    alarms: Alarms
    ttl: timedelta | None = None
    revision: int = 0
    newest: dict[str, Entry] = field(default_factory=dict)
    watchers: list["asyncio.Queue[Entry | None]"] = field(default_factory=list)

    def get(self, key: str) -> Entry | None:
        """The present entry of a key, or None."""
        found = self.newest.get(key)
        return found if found and found.value is not None else None

    def put(self, key: str, value: bytes, revision: int | None) -> int:
        """Set a key; Conflict unless `revision` (0: absent) is its newest."""
        self._check(key, revision)
        put = self._set(key, value)
        if self.ttl:
            self.alarms.at(self.alarms.now() + self.ttl, lambda: self._expire(put))
        return put.revision

    def put_each(self, puts: Sequence[tuple[str, bytes, int]]) -> list[int]:
        """Set many keys, each at its revision (0: absent), or with Conflict none."""
        for key, _, revision in puts:
            self._check(key, revision)
        return [self.put(key, bytes(value), revision) for key, value, revision in puts]

    def remove(self, key: str) -> None:
        """Mark a key as removed."""
        self._set(key, None)

    def erase(self, key: str) -> bool:
        """Forget a key. As on a server, watchers receive nothing."""
        return self.newest.pop(key, None) is not None

    def purge(self) -> None:
        """Forget every key. As on a server, watchers receive nothing."""
        self.newest.clear()

    def present(self) -> list[Entry]:
        """All present entries, in the order of their revisions."""
        return sorted((e for e in self.newest.values() if e.value is not None), key=lambda entry: entry.revision)

    def _check(self, key: str, revision: int | None) -> None:
        newest = self.newest.get(key)
        if revision == 0 and newest and newest.value is not None:
            raise Conflict(f"{self.name}: {key} exists at revision {newest.revision}")
        if revision and revision != (newest.revision if newest else 0):
            raise Conflict(f"{self.name}: {key} is at revision {newest.revision if newest else 0}, not {revision}")

    def _expire(self, entry: Entry) -> None:
        if self.newest.get(entry.key) is entry:
            self._set(entry.key, None)

    def _set(self, key: str, value: bytes | None) -> Entry:
        self.revision += 1
        self.newest[key] = entry = Entry(key, value, self.revision)
        for watcher in self.watchers:
            watcher.put_nowait(entry)
        return entry
