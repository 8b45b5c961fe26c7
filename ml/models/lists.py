"""Lists: for each item one list per layer, all lists in the same arrays, the newest layer last."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ml.models.sessions import Ints

Numbers = NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class Lists:
    """`low` and `high` (layers, items) bound the list of each item in the parallel arrays `columns`."""

    low: Ints
    high: Ints
    columns: tuple[Numbers, ...]

    @cached_property
    def bounds(self) -> list[tuple[list[int], list[int]]]:
        """`low` and `high` of each layer as plain lists: single numbers come out of them ten times as fast."""
        return [(low.tolist(), high.tolist()) for low, high in zip(self.low, self.high, strict=True)]

    def slices(self, item: int) -> list[slice]:
        """Where an item's list is, layer after layer; nothing of layers that have none."""
        return [slice(low[item], high[item]) for low, high in self.bounds if low[item] < high[item]]

    @classmethod
    def of(cls, owners: Ints, known: int, *columns: Numbers) -> Self:
        """One layer, from columns that are sorted by their `owners` (entries,), items below `known`."""
        high = np.cumsum(np.bincount(owners, minlength=known))
        return cls(low=np.concatenate([[0], high[:-1]])[None], high=high[None], columns=columns)

    def followed_by(self, newer: "Lists") -> "Lists":
        """These layers and newer ones, of as many items or more."""
        shift, more = len(self.columns[0]), newer.low.shape[1] - self.low.shape[1]
        return Lists(
            low=np.concatenate([np.pad(self.low, ((0, 0), (0, more))), newer.low + shift]),
            high=np.concatenate([np.pad(self.high, ((0, 0), (0, more))), newer.high + shift]),
            columns=tuple(np.concatenate(pair) for pair in zip(self.columns, newer.columns, strict=True)),
        )

    def newest(self, most: int) -> "Lists":
        """The same lists, of each item only the last `most` entries of all layers."""
        lengths = self.high - self.low
        newer = lengths[::-1].cumsum(axis=0)[::-1] - lengths
        return Lists(
            low=np.maximum(self.low, self.high - np.maximum(most - newer, 0)), high=self.high, columns=self.columns
        )


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
