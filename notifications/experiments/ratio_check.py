"""Ratio check: whether as many shoppers are in each arm as chance should have put there.

Where they are not, something decides who is counted besides chance, and no result can be trusted. The test may be
looked at any day: a mixture over all possible shares (Lindon and Malek, "Anytime-valid inference for multinomial count
data", NeurIPS 2022), of which the chance to ever exceed 1/p without a cause is p.
"""

import math
from collections.abc import Iterable, Mapping

STRENGTH = 100.0
"""How close to the expected shares the mixture looks for others: as after so many observations."""
SUSPECT = 0.001
"""Below this chance the numbers are not to be trusted."""


def chance_of_ratio(strata: Iterable[tuple[int, int, float]]) -> float:
    """A bound on the chance of such numbers without a cause, 0 to 1.

    Each stratum is how many are in the one arm and in the other, and the probability of the first. Strata of certain
    outcomes (0 or 1) are left out.
    """
    evidence = sum(_evidence((first, second), (share, 1 - share)) for first, second, share in strata if 0 < share < 1)
    return math.exp(-max(evidence, 0.0))


def chance_of_split(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """The same of several arms by name, for the shares that they should have. Arms without a share are left out."""
    wanted = {name: share for name, share in shares.items() if share > 0}
    whole = sum(wanted.values())
    evidence = _evidence([counts.get(name, 0) for name in wanted], [share / whole for share in wanted.values()])
    return math.exp(-max(evidence, 0.0))


def _evidence(counts: Iterable[int], shares: Iterable[float]) -> float:
    """The logarithm of how much more probable the numbers are under the mixture than under the expected shares."""
    found, n = 0.0, 0
    for count, share in zip(counts, shares, strict=True):
        prior = STRENGTH * share
        found += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
        n += count
    return found + math.lgamma(STRENGTH) - math.lgamma(STRENGTH + n)
