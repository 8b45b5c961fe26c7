"""Endpoint queue: what waits for one webhook in this process, how fast it may be sent, and whether the endpoint fails.

An endpoint that failed `FAILURES` times in a row is tried with one delivery at a time, first after `FIRST_PROBE`
seconds and then less and less often; all others go back to the server until then, so that they cost nothing.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from mesh.events.delivery import DeliveryDue

FAILURES = 5
FIRST_PROBE, LONGEST_PROBE = 5.0, 300.0
WAITING, MOST_WAITING = 500, 5_000
"""How many deliveries of one webhook may wait in a process, and how many where its endpoint takes them fast enough."""
PACE, FAILING_PACE = 100.0, 20.0
"""How many deliveries of one webhook come back in a second at least: while its endpoint answers, and while it fails."""
WINDOW = 1.0
"""Seconds over which it is counted how fast an endpoint takes deliveries."""


@dataclass(eq=False, slots=True)
class Job:
    """A delivery in this process. It may be begun until `lease` (the loop's time); then the server brings it again.

    `stored` is when its event was stored, where this is the first attempt and nothing delayed it.
    """

    due: DeliveryDue
    body: bytes | None = None
    stored: datetime | None = None
    lease: float = 0.0


@dataclass(eq=False)
class EndpointQueue:
    """Times are the loop's, in seconds. `reserved` counts deliveries that are about to be added."""

    waiting: deque[Job] = field(default_factory=deque)
    workers: int = 0
    reserved: int = 0
    failures: int = 0
    probe_at: float = 0.0
    next_send: float = 0.0
    next_return: float = 0.0
    rate: float = 0.0
    taken: int = 0
    counted_since: float = 0.0

    @property
    def failing(self) -> bool:
        """Whether the endpoint is tried with one delivery at a time."""
        return self.failures >= FAILURES

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be forgotten with it."""
        return not (self.waiting or self.workers or self.reserved or self.failures)

    def pause(self, now: float, throttle: float | None, lease: float) -> float | None:
        """Seconds after which one more delivery shall come back; None: it may wait here."""
        here, pace = len(self.waiting) + self.reserved, throttle or max(PACE, self.rate)
        if self.failing:
            if now >= self.probe_at and not here and not self.workers:
                return None
            begin, pace = max(self.probe_at, now + 1), min(pace, FAILING_PACE)
        elif here < self.most_waiting(throttle, lease):
            return None
        else:
            begin = now + here / pace
        self.next_return = max(self.next_return, begin) + 1 / pace
        return self.next_return - now

    def most_waiting(self, throttle: float | None, lease: float) -> int:
        """How many may wait here: what is sent well within a lease."""
        if throttle is not None:
            return max(1, min(WAITING, int(throttle * lease / 2)))
        return max(WAITING, min(MOST_WAITING, int(self.rate * lease / 3)))

    def more_workers(self, connections: int, throttle: float | None) -> bool:
        """Whether another request may be made beside those that are under way."""
        most = 1 if self.failing else connections
        if throttle is not None:
            most = min(most, max(1, int(throttle)))
        return bool(self.waiting) and self.workers < most

    async def turn(self, throttle: float | None) -> None:
        """Wait until the throttle lets one more go."""
        if throttle is None:
            return
        now = asyncio.get_running_loop().time()
        slot = max(now, self.next_send)
        self.next_send = slot + 1 / throttle
        await asyncio.sleep(slot - now)

    def succeeded(self, now: float) -> None:
        """The endpoint took a delivery."""
        if self.failing:
            self.next_return = 0.0
        self.failures, self.probe_at, self.taken = 0, 0.0, self.taken + 1
        if (passed := now - self.counted_since) >= WINDOW:
            # After a pause nothing is known of how fast it could be.
            self.rate = self.taken / passed if passed < 10 * WINDOW else 0.0
            self.taken, self.counted_since = 0, now

    def failed(self, now: float) -> list[Job]:
        """The endpoint took none. What is given up here for now, because it fails for good: the server has it."""
        self.failures += 1
        if not self.failing:
            return []
        self.probe_at = now + min(FIRST_PROBE * 2 ** min(self.failures - FAILURES, 10), LONGEST_PROBE)
        given_back = list(self.waiting)
        self.waiting.clear()
        return given_back
