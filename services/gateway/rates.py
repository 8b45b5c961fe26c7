"""Rates: token buckets that keep one storefront or address from taking the gateway for itself."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

import msgspec

MOST_BUCKETS = 100_000


class RateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Events per second that one write key and one client address may send; twice that much in one burst.

    `trusted_proxies` is how many proxies stand in front and append to X-Forwarded-For (0: none is believed).
    """

    key_rate: float = 20_000
    address_rate: float = 10_000
    trusted_proxies: int = 0


class Rate:
    """A token bucket per name, refilled at `rate` a second up to `burst` (default twice the rate)."""

    def __init__(self, rate: float, *, burst: float | None = None, clock: Callable[[], float] = monotonic) -> None:
        self.rate, self.burst, self._clock = rate, burst or 2 * rate, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, count: int) -> float:
        """0 when `count` tokens were taken, else the seconds until they can be; then none was taken.

        More than a whole burst is let through from a full bucket, which then owes the rest.
        """
        now = self._clock()
        level, then = self._buckets.pop(name, (self.burst, now))
        level = min(self.burst, level + (now - then) * self.rate)
        wanted = min(count, self.burst)
        enough = level >= wanted
        self._buckets[name] = (level - count if enough else level, now)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return 0.0 if enough else (wanted - level) / self.rate
