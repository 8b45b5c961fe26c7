"""Alarms: callbacks at a time of a clock that may be a test's own."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

Clock = Callable[[], datetime]
_POLL = 0.005
_TICK = 0.0005


def wall_clock() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


class Alarms:
    """Calls back when a time is reached on its clock, never early. An injected clock is looked at every 5 ms."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock
        self._waiting: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        self._handle: asyncio.TimerHandle | None = None

    def at(self, when: datetime, call: Callable[[], None]) -> None:
        """Call once `when` (aware) has come."""
        heapq.heappush(self._waiting, (when, next(self._order), call))
        if self._waiting[0][2] is call or self._handle is None:
            self._arm()

    def _arm(self) -> None:
        if self._handle:
            self._handle.cancel()
            self._handle = None
        if not self._waiting:
            return
        delay = max((self._waiting[0][0] - self.now()).total_seconds(), _TICK)
        if self.now is not wall_clock:
            delay = min(delay, _POLL)
        self._handle = asyncio.get_running_loop().call_later(min(delay, 3600), self._ring)

    def _ring(self) -> None:
        self._handle = None
        while self._waiting and self._waiting[0][0] <= self.now():
            heapq.heappop(self._waiting)[2]()
        if self._handle is None:
            self._arm()
