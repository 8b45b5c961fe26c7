"""Back-off: how long to wait before a process that ended is started again."""

from collections.abc import Callable
from time import monotonic

FIRST_S = 0.5
"""The first pause. It doubles with each end of a process that had not run for `STABLE_S`."""
MOST_S = 30.0
STABLE_S = 10.0
"""A process that ran for so long was not ended by its start: the pauses begin anew."""


class Backoff:
    """The pauses of one process, in seconds. `clock` is for tests."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock, self._began, self._next = clock, clock(), FIRST_S

    def began(self) -> None:
        """The process runs from now on."""
        self._began = self._clock()

    def pause(self) -> float:
        """How long to wait now that it has ended, or could not be started."""
        if self._clock() - self._began >= STABLE_S:
            self.forget()
        pause, self._next = self._next, min(2 * self._next, MOST_S)
        return pause

    def forget(self) -> None:
        """The next pause is the first one again."""
        self._next = FIRST_S
