"""Effect: how much more one arm of an experiment brings than another, with an interval that may be looked at any day.

The interval is an asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 52(6), 2024; arXiv:2103.06476): the
chance that it ever misses the true difference is `ALPHA` at most, however often one looks and whenever one stops.
What is known of shoppers from before takes noise away (CUPED: Deng, Xu, Kohavi and Walker, WSDM 2013).
"""

import math
from collections.abc import Iterable, Sequence

import msgspec

ALPHA = 0.05
TUNED_FOR = 5_000
"""With how many participants the interval is narrowest for its guarantee; it holds for any number."""
LEAST = 200
"""The fewest participants of each arm of which anything is said: an interval for large numbers needs some."""
LEAST_EVENTS = 10
"""The fewest of each arm that must have bought."""


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Of some participants: how many, and the sums of outcome `y` and of what was known before `x`, and of products."""

    n: int = 0
    y: float = 0.0
    yy: float = 0.0
    x: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def __add__(self, other: "Sums") -> "Sums":
        """Of both groups together."""
        return Sums(**{name: getattr(self, name) + getattr(other, name) for name in Sums.__struct_fields__})

    @property
    def mean(self) -> float:
        """The mean outcome; 0 of nobody."""
        return self.y / self.n if self.n else 0.0


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A difference of means, treated minus control, per participant, and the interval from `low` to `high`.

    `n` participants; `deviation` is that of one participant's influence on the estimate, from which the interval's
    width at any other number follows.
    """

    estimate: float
    low: float
    high: float
    n: int
    deviation: float

    @property
    def is_known(self) -> bool:
        """Whether the difference is told from none."""
        return self.low > 0 or self.high < 0

    def participants_until_known(self, most: int = 10**9) -> int | None:
        """How many participants it takes if the difference is what it seems to be now; None: more than `most`."""
        if self.is_known:
            return self.n
        lower, upper = self.n, self.n
        while upper < most and half_width(upper, self.deviation) >= abs(self.estimate):
            lower, upper = upper, upper * 2
        if half_width(upper, self.deviation) >= abs(self.estimate):
            return None
        while upper - lower > max(1, lower // 1_000):
            middle = (lower + upper) // 2
            if half_width(middle, self.deviation) >= abs(self.estimate):
                lower = middle
            else:
                upper = middle
        return upper


def effect(strata: Iterable[tuple[Sums, Sums]], *, alpha: float = ALPHA) -> Effect | None:
    """What the treated have more than the controls. A stratum is its controls and its treated; None without both.

    Within a stratum everybody had the same chance of each arm; strata count by their size. A stratum of only one arm
    says nothing and is left out.
    """
    both = [(control, treated) for control, treated in strata if control.n > 1 and treated.n > 1]
    n = sum(control.n + treated.n for control, treated in both)
    if not n:
        return None
    slope = _slope([group for pair in both for group in pair])
    estimate = variance = 0.0
    for control, treated in both:
        share = (control.n + treated.n) / n
        difference = treated.mean - control.mean - slope * (treated.x / treated.n - control.x / control.n)
        estimate += share * difference
        variance += share**2 * (_variance(treated, slope) / treated.n + _variance(control, slope) / control.n)
    deviation = math.sqrt(variance * n)
    half = half_width(n, deviation, alpha=alpha)
    return Effect(estimate=estimate, low=estimate - half, high=estimate + half, n=n, deviation=deviation)


def half_width(n: int, deviation: float, *, alpha: float = ALPHA) -> float:
    """Half the interval's width after `n` participants: Robbins' normal mixture, narrowest at `TUNED_FOR`."""
    tuned = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / TUNED_FOR
    spread = n * tuned + 1
    return deviation * math.sqrt(2 * spread / (n**2 * tuned) * math.log(math.sqrt(spread) / alpha))


def enough(groups: Sequence[tuple[int, int]]) -> bool:
    """Whether each arm, as participants and how many of them bought, is large enough to say anything."""
    return all(n >= LEAST and bought >= LEAST_EVENTS for n, bought in groups)


def _variance(group: Sums, slope: float) -> float:
    """The variance of the outcome after what was known before is taken off."""
    n = group.n

    def central(product: float, first: float, second: float) -> float:
        return (product - first * second / n) / (n - 1)

    return max(
        central(group.yy, group.y, group.y)
        - 2 * slope * central(group.xy, group.x, group.y)
        + slope**2 * central(group.xx, group.x, group.x),
        0.0,
    )


def _slope(groups: Sequence[Sums]) -> float:
    """By how much the outcome rises with what was known before, within the groups; 0 where that is the same of all."""
    within = sum(one.xx - one.x**2 / one.n for one in groups)
    together = sum(one.xy - one.x * one.y / one.n for one in groups)
    return together / within if within > 1e-9 * sum(one.xx for one in groups) else 0.0
