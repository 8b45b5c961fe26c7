"""Changes: the newest audit events of the region, whatever the order in which they are delivered."""

from bisect import insort

from mesh import Received
from mesh.events.console import ConsoleChanged

MOST = 1_000


class Changes:
    """At most `MOST` events; each once, however often it is delivered."""

    def __init__(self) -> None:
        self._kept: list[Received[ConsoleChanged]] = []
        self._ids: set[str] = set()

    def add(self, received: Received[ConsoleChanged]) -> None:
        """Take in an event."""
        if received.id in self._ids:
            return
        insort(self._kept, received, key=lambda one: one.sequence)
        self._ids.add(received.id)
        if len(self._kept) > MOST:
            self._ids.discard(self._kept.pop(0).id)

    def newest(self, most: int) -> list[Received[ConsoleChanged]]:
        """The newest, newest first."""
        return self._kept[: -most - 1 : -1]
