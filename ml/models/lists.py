"""Lists: one list of entries for each item, all of them in the same arrays."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ml.models.sessions import Ints

Numbers = NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class Lists:
    """`low` and `high` (items,) bound the list of each item in the parallel arrays `columns`."""

    low: Ints
    high: Ints
    columns: tuple[Numbers, ...]

    def span(self, item: int) -> slice:
        """Where an item's list is."""
        return slice(int(self.low[item]), int(self.high[item]))

    @classmethod
    def of(cls, owners: Ints, known: int, *columns: Numbers) -> Self:
        """From columns that are sorted by their `owners` (entries,), items below `known`."""
        high = np.cumsum(np.bincount(owners, minlength=known))
        return cls(low=np.concatenate([[0], high[:-1]]), high=high, columns=columns)


def between(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """All indices of the ranges `low` to `high` (ranges,), and of each index the number of its range."""
    lengths = high - low
    ends = lengths.cumsum()
    owner = counting(len(low)).repeat(lengths)
    return counting(len(owner)) + (low - ends + lengths)[owner], owner


def first_uses(numbers: Ints, slots: Ints) -> tuple[Ints, Ints]:
    """Where each distinct number is used first (distinct,), and for each use (uses,) where its number was first.

    `slots` is scratch, longer than the largest number; what it holds does not matter. Takes no sorting.
    """
    count = counting(len(numbers))
    slots[numbers[::-1]] = count[::-1]
    first = slots[numbers]
    return (first == count).nonzero()[0], first


def counting(many: int) -> Ints:
    """0, 1, 2 ... up to `many`, not included; not to be written to."""
    return _COUNT[:many] if many <= len(_COUNT) else np.arange(many)


_COUNT = np.arange(1 << 14)
