"""History: everything that happened to one key, as it was at one moment; and the condition that it still holds.

A condition is on one event type of one key, which is one exact subject. The broker checks that
against writes still in flight; it does not do so for wildcards (decisions/0002).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from mesh.envelope import Received
from mesh.event import Event

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Unchanged:
    """Commit only if the newest `kind` of `key` is still the one at `sequence` (0: there is none yet)."""

    kind: type[Event]
    key: str
    sequence: int


@dataclass(frozen=True)
class History:
    """What happened to `key`, oldest first."""

    key: str
    events: tuple[Received, ...]

    def __iter__(self) -> Iterator[Received]:
        return iter(self.events)

    def of(self, kind: type[E]) -> list[Received[E]]:
        """All events of one kind, oldest first."""
        return [received for received in self.events if type(received.event) is kind]

    def last(self, kind: type[E]) -> Received[E] | None:
        """The newest event of one kind, or None."""
        return next((received for received in reversed(self.events) if type(received.event) is kind), None)

    def unchanged(self, *kinds: type[Event]) -> list[Unchanged]:
        """The condition that none of these kinds has happened to this key since it was read."""
        return [Unchanged(kind, self.key, last.sequence if (last := self.last(kind)) else 0) for kind in kinds]
