"""Sessions: what shoppers did in one visit each, as two arrays."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """`items` (clicks,) are numbers below `known`, session after session in time order, the oldest session first.

    Session s is `items[starts[s]:starts[s + 1]]`; `starts` (sessions + 1,).
    """

    items: Ints
    starts: Ints
    known: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, sessions: NDArray[np.integer], items: NDArray[np.integer], *, known: int) -> Self:
        """From clicks in time order: `sessions` (clicks,) any numbers, `items` (clicks,) below `known`.

        Sessions come out in the order of their newest clicks.
        """
        clicks = len(items)
        order = np.argsort(sessions, kind="stable")
        session = sessions[order]
        first = np.flatnonzero(np.r_[True, session[1:] != session[:-1]]) if clicks else np.zeros(0, np.intp)
        lengths = np.diff(first, append=clicks)
        turn = np.argsort(order[first + lengths - 1])
        starts = np.concatenate([[0], np.cumsum(lengths[turn])])
        index = np.arange(clicks) + np.repeat(first[turn] - starts[:-1], lengths[turn])
        return cls(items=items[order][index].astype(np.intp), starts=starts.astype(np.intp), known=known)

    def part(self, start: int, stop: int) -> "Sessions":
        """Sessions `start` to `stop`, not included, of as many items."""
        low, high = self.starts[start], self.starts[stop]
        return Sessions(items=self.items[low:high], starts=self.starts[start : stop + 1] - low, known=self.known)

    @property
    def owners(self) -> Ints:
        """The session of each click (clicks,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))
