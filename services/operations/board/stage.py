"""Stage: how many reached one step of the funnel within the window, and the money they stand for."""

from collections import Counter

from mesh.money import Money
from services.operations.board.latest_by_key import LatestByKey
from services.operations.board.money import listed


class Stage:
    """Counts distinct keys with the newest money of each; the sums are kept, never added up again."""

    def __init__(self, span: float, most: int) -> None:
        self._sums: Counter[str] = Counter()
        self._newest: LatestByKey[str, tuple[Money, ...]] = LatestByKey(
            span, most, entered=self._add, left=self._subtract
        )

    def add(self, key: str, at: float, id: str, money: tuple[Money, ...]) -> None:
        """A key reached the stage `at` (epoch seconds) by the event `id`, and stands for this money."""
        self._newest.add(key, at, id, money)

    def expire(self, now: float) -> None:
        """Forget what lies behind the window."""
        self._newest.expire(now)

    @property
    def count(self) -> int:
        """How many keys."""
        return len(self._newest)

    @property
    def money(self) -> tuple[Money, ...]:
        """Their money, per currency."""
        return listed(self._sums)

    @property
    def full(self) -> bool:
        """Whether there may be more than are counted."""
        return self._newest.full

    def _add(self, money: tuple[Money, ...]) -> None:
        for amount in money:
            self._sums[amount.currency] += amount.amount

    def _subtract(self, money: tuple[Money, ...]) -> None:
        for amount in money:
            self._sums[amount.currency] -= amount.amount
