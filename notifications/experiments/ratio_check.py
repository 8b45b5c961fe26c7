"""Ratio check: whether as many shoppers are in each arm as chance should have put there.

Where they are not, something decides who is counted besides chance, and no result can be trusted. The test may be
looked at any day: a mixture over all possible shares (Lindon and Malek, "Anytime-valid inference for multinomial count
data", NeurIPS 2022), of which the chance to ever exceed 1/p without a cause is p.
"""

import math
from collections.abc import Iterable

STRENGTH = 100.0
"""How close to the expected share the mixture looks for another one: as after so many observations."""
SUSPECT = 0.001
"""Below this chance the numbers are not to be trusted."""


def chance_of_ratio(strata: Iterable[tuple[int, int, float]]) -> float:
    """A bound on the chance of such numbers without a cause, 0 to 1.

    Each stratum is how many are in the one arm and in the other, and the probability of the first. Strata of certain
    outcomes (0 or 1) are left out.
    """
    evidence = sum(_evidence(first, second, share) for first, second, share in strata if 0 < share < 1)
    return math.exp(-max(evidence, 0.0))


def _evidence(first: int, second: int, share: float) -> float:
    """The logarithm of how much more probable the numbers are under the mixture than under the expected share."""
    a, b = STRENGTH * share, STRENGTH * (1 - share)
    mixture = _log_beta(a + first, b + second) - _log_beta(a, b)
    return mixture - first * math.log(share) - second * math.log(1 - share)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
