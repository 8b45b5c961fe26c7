"""Log: one stream in memory. Sequences, deduplication, conditions, atomic batches, schedules, expiry.

The rules are those of nats-server 2.15: ADR-50 (atomic batches), ADR-51 (message schedules), ADR-43 (TTL).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mesh.broker.memory.alarms import Alarms
from mesh.broker.protocol import Message, Outgoing, Stored
from mesh.errors import Conflict, DeclarationError, Duplicate, Unavailable
from mesh.subjects import matches

MAX_BATCH = 1000


@dataclass(frozen=True)
class Watcher:
    """What receives a stream's appended and removed messages."""

    appended: Callable[[Message], None]
    removed: Callable[[Message], None]


class Log:
    """A stream's messages by sequence, and all that decides whether another one is taken."""

    def __init__(self, name: str, takes: Callable[[str], bool], alarms: Alarms, window: timedelta) -> None:
        self.name, self._takes, self._alarms, self._window = name, takes, alarms, window
        self.messages: dict[int, Message] = {}
        self.sequence = 0
        self._by_subject: dict[str, list[int]] = {}
        self.ttls: dict[int, timedelta] = {}
        self._ids: dict[str, tuple[int, datetime]] = {}
        self._watchers: list[Watcher] = []

    def store(self, message: Outgoing) -> Stored:
        """Append one message unless its id was seen. Raises Conflict, Unavailable, DeclarationError."""
        self._belongs(message)
        self._expected(message, set())  # before the id: a retried conditional store is a Conflict (see mesh/publish.py)
        if (seen := self._seen(message.id)) is not None:
            return Stored(seen, duplicate=True)
        return Stored(self._append(message))

    def store_batch(self, batch: Sequence[Outgoing]) -> Stored:
        """Append all or nothing; every condition is checked against the state before the batch."""
        if not 0 < len(batch) <= MAX_BATCH:
            raise DeclarationError(f"{len(batch)} messages in an atomic batch; 1 to {MAX_BATCH} are possible")
        touched: set[str] = set()
        ids: set[str] = set()
        for message in batch:
            self._belongs(message)
            if message.id is not None and (message.id in ids or self._seen(message.id) is not None):
                raise Duplicate(f"{self.name}: id {message.id} was stored before; nothing was stored now")
            self._expected(message, touched)
            touched.add(message.subject)
            ids.add(message.id or "")
        for message in batch:
            last = self._append(message)
        return Stored(last)

    def copy(self, message: Message, ttl: timedelta | None) -> None:
        """Append what another stream stored, as a source does: new place and time, an id that was seen is dropped."""
        id_ = message.headers.get("Nats-Msg-Id")
        if self._seen(id_) is None:
            self._note(id_, self._keep(message.subject, message.body, dict(message.headers), ttl))

    def last(self, pattern: str) -> Message | None:
        """The newest message under a pattern."""
        newest = max((places[-1] for _, places in self._under(pattern)), default=0)
        return self.messages.get(newest)

    def read(self, patterns: Sequence[str], after: int) -> list[Message]:
        """What is stored now under any of the patterns, in order."""
        places = {at for pattern in patterns for _, found in self._under(pattern) for at in found if at > after}
        return [self.messages[at] for at in sorted(places)]

    def remove(self, sequence: int) -> None:
        """Remove a message, where it is there."""
        gone = self.messages.pop(sequence, None)
        if gone is None:
            return
        self.ttls.pop(sequence, None)
        places = self._by_subject[gone.subject]
        places.remove(sequence)
        if not places:
            del self._by_subject[gone.subject]
        for watcher in tuple(self._watchers):
            watcher.removed(gone)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell `watcher` of changes until the returned function is called."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None

    def _under(self, pattern: str) -> Iterator[tuple[str, list[int]]]:
        if "*" not in pattern and ">" not in pattern:
            if pattern in self._by_subject:
                yield pattern, self._by_subject[pattern]
            return
        yield from ((subject, places) for subject, places in self._by_subject.items() if matches(pattern, subject))

    def _belongs(self, message: Outgoing) -> None:
        if not self._takes(message.subject):
            raise Unavailable(f"{self.name}: no stream takes {message.subject} here")
        if (message.at is None) != (message.target is None):
            raise DeclarationError(f"{message.subject}: a schedule needs both `at` and `target`")
        if message.target is not None and not self._takes(message.target):
            raise DeclarationError(f"{message.subject}: the target {message.target} is not a subject of {self.name}")

    def _seen(self, id_: str | None) -> int | None:
        now = self._alarms.now()
        while self._ids and (oldest := next(iter(self._ids))) and self._ids[oldest][1] <= now:
            del self._ids[oldest]
        return self._ids[id_][0] if id_ in self._ids else None

    def _note(self, id_: str | None, stored: int) -> None:
        if id_ is not None:
            self._ids[id_] = (stored, self._alarms.now() + self._window)

    def _expected(self, message: Outgoing, touched: set[str]) -> None:
        if (expect := message.expect) is None:
            return
        if "*" in expect.subject or ">" in expect.subject:
            raise ValueError(f"{expect.subject}: a condition is on one exact subject (decisions/0002)")
        if expect.subject in touched:
            raise Conflict(f"{expect.subject}: expected behind a message of the same batch that changes it")
        newest = self._by_subject.get(expect.subject, [0])[-1]
        if newest != expect.sequence:
            raise Conflict(f"{expect.subject}: its newest is {newest}, expected was {expect.sequence}")

    def _append(self, message: Outgoing) -> int:
        if message.cancels:
            self._purge(message.cancels)
        if message.at:
            self._purge(message.subject)
        headers = dict(message.headers) | ({"Nats-Msg-Id": message.id} if message.id else {})
        stored = self._keep(message.subject, message.body, headers, message.ttl)
        self._note(message.id, stored)
        if message.at and message.target:
            self._alarms.at(message.at, lambda: self._fire(stored, message))
        return stored

    def _keep(self, subject: str, body: bytes, headers: dict[str, str], ttl: timedelta | None) -> int:
        self.sequence += 1
        kept = Message(subject=subject, body=body, sequence=self.sequence, stored=self._alarms.now(), headers=headers)
        self.messages[kept.sequence] = kept
        self._by_subject.setdefault(subject, []).append(kept.sequence)
        if ttl:
            self.ttls[kept.sequence] = ttl
            self._alarms.at(kept.stored + ttl, lambda: self.remove(kept.sequence))
        for watcher in tuple(self._watchers):
            watcher.appended(kept)
        return kept.sequence

    def _fire(self, stored: int, timer: Outgoing) -> None:
        if stored in self.messages and timer.target:
            self.remove(stored)
            self._keep(timer.target, timer.body, {**timer.headers, "Nats-Scheduler": timer.subject}, timer.ttl)

    def _purge(self, subject: str) -> None:
        for sequence in tuple(self._by_subject.get(subject, ())):
            self.remove(sequence)
