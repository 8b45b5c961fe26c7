"""Rate: token buckets, which keep one party from taking a process for itself."""

from collections.abc import Callable
from time import monotonic

from cachetools import LRUCache

MOST_BUCKETS = 100_000


class Rate:
    """A token bucket per name, refilled at `rate` a second up to `burst` (default twice the rate)."""

    def __init__(self, rate: float, *, burst: float | None = None, clock: Callable[[], float] = monotonic) -> None:
        self.rate, self.burst, self._clock = rate, burst or 2 * rate, clock
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(MOST_BUCKETS)

    def wait(self, name: str, count: float) -> float:
        """The seconds until `count` tokens can be taken; 0: they can be now.

        More than a whole burst is let through from a full bucket, which then owes the rest.
        """
        return max(0.0, min(count, self.burst) - self._level(name)) / self.rate

    def take(self, name: str, count: float) -> float:
        """0 when `count` tokens were taken, else the seconds until they can be; then none was taken."""
        if wait := self.wait(name, count):
            return wait
        self._buckets[name] = self._level(name) - count, self._clock()
        return 0.0

    def _level(self, name: str) -> float:
        level, then = self._buckets.get(name, (self.burst, self._clock()))
        return min(self.burst, level + (self._clock() - then) * self.rate)
