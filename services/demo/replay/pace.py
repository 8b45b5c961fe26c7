"""Pace: when a row of the log is due on this run's clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class Pace:
    """`speed` times as fast as it was, beginning with the log's `first` row at `started` (seconds of a clock).

    A speed of 0 is as fast as it goes.
    """

    first: datetime
    speed: float
    started: float

    def due(self, time: datetime) -> float:
        """The moment on the clock at which something of the log's `time` is to be sent."""
        return self.started + (scaled(time - self.first, self.speed).total_seconds() if self.speed else 0.0)

    def lag(self, time: datetime, now: float) -> float:
        """Seconds that sending runs behind; 0 when it is on time."""
        return max(0.0, now - self.due(time))


def scaled(real: timedelta, speed: float, *, least: timedelta = timedelta(0)) -> timedelta:
    """A real delay at `speed`, but not below `least`. At speed 0 nothing can be scaled: `real` itself."""
    return max(real / speed if speed else real, least)
