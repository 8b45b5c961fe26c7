"""LatestByKey: per key the latest value within a sliding window of time, whatever the order in which they come."""

import heapq
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
Rank = tuple[float, str]
_SLACK = 64


class LatestByKey(Generic[K, V]):
    """Values by key, of which only the newest by its rank `(at, id)` counts: late, doubled or mixed up is all the same.

    `span` in seconds is how long a value stays behind its time; at most the `most` newest keys are kept.
    `entered` and `left` are called with every value that begins and ceases to count.
    """

    def __init__(
        self,
        span: float,
        most: int,
        *,
        entered: Callable[[V], None] = lambda _: None,
        left: Callable[[V], None] = lambda _: None,
    ) -> None:
        self._span, self._most, self._entered, self._left = span, most, entered, left
        self._kept: dict[K, tuple[Rank, V]] = {}
        self._oldest: list[tuple[Rank, K]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[K]:
        return iter(self._kept)

    @property
    def full(self) -> bool:
        """Whether more may have happened than is kept."""
        return len(self._kept) >= self._most

    def add(self, key: K, at: float, id: str, value: V) -> None:
        """A value of a key: what happened `at` (epoch seconds) in the event `id`."""
        rank = (at, id)
        known = self._kept.get(key)
        if known is not None:
            if known[0] >= rank:
                return
            self._left(known[1])
        self._kept[key] = (rank, value)
        self._entered(value)
        heapq.heappush(self._oldest, (rank, key))
        while len(self._kept) > self._most:
            self._drop_oldest()
        if len(self._oldest) > 2 * len(self._kept) + _SLACK:
            self._oldest = [(rank, key) for key, (rank, _) in self._kept.items()]
            heapq.heapify(self._oldest)

    def get(self, key: K) -> V | None:
        """The newest value of a key, or None."""
        known = self._kept.get(key)
        return known[1] if known else None

    def expire(self, now: float) -> None:
        """Forget what lies further back than the span."""
        while self._oldest and self._oldest[0][0][0] <= now - self._span:
            self._drop_oldest()

    def latest(self) -> list[tuple[K, Rank, V]]:
        """Everything kept, newest first."""
        return sorted(((key, *known) for key, known in self._kept.items()), key=lambda one: one[1], reverse=True)

    def _drop_oldest(self) -> None:
        """Take the top off the heap; it counts only when its key has no newer value since."""
        rank, key = heapq.heappop(self._oldest)
        known = self._kept.get(key)
        if known is not None and known[0] == rank:
            del self._kept[key]
            self._left(known[1])
