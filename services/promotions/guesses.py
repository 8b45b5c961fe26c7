"""Guesses: how many bad codes a client has sent lately, in this process."""

from collections import deque
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from cachetools import LRUCache

MOST_CLIENTS = 100_000


class Guesses:
    """Counts bad codes by client; whoever has sent too many waits, also with a good one."""

    def __init__(self, most: int, window: timedelta, clock: Callable[[], float] = monotonic) -> None:
        self._most, self._window, self._clock = most, window.total_seconds(), clock
        self._failed: LRUCache[str, deque[float]] = LRUCache(MOST_CLIENTS)

    def wait(self, client: str) -> float:
        """The seconds until a client is answered again; 0: now."""
        failed = self._failed.get(client)
        if failed is None or len(failed) < self._most:
            return 0.0
        return max(0.0, failed[0] + self._window - self._clock())

    def count(self, client: str) -> None:
        """A client sent a bad code."""
        failed = self._failed.get(client)
        if failed is None:
            failed = self._failed[client] = deque(maxlen=self._most)
        failed.append(self._clock())
