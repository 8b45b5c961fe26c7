"""Past: how a count that only grows stood at each moment of the last hour."""

from bisect import bisect_right
from collections.abc import Iterable
from operator import itemgetter

HOUR = 3600.0
STEP = 10.0
"""Seconds between remembered moments; between two of them growth counts as even."""


class Past:
    """Moments in seconds and totals, oldest first. Totals before the count began are below its first one."""

    def __init__(self, moments: Iterable[tuple[float, int]]) -> None:
        self._moments = list(moments)

    def hour(self, at: float, total: int) -> int:
        """How much the count grew in the hour before `at`, when it is `total`; remembers it."""
        if at - self._moments[-1][0] >= STEP:
            self._moments.append((at, total))
        before = at - HOUR
        place = bisect_right(self._moments, before, key=itemgetter(0))
        del self._moments[: max(place - 1, 0)]
        return max(0, round(total - self._total(before)))

    def _total(self, at: float) -> float:
        (start, low), *later = self._moments[:2]
        if at <= start or not later:
            return low
        ((end, high),) = later
        return low + (high - low) * (at - start) / (end - start)
