"""The continuous experiment: who gets nothing, who gets a random offer, and with what probability.

A shopper always gets the same arm: it is a hash of journey and person, so that nothing need be stored.
"""

from hashlib import blake2b
from typing import Literal

import msgspec

from notifications.journeys import Journey

NONE = "none"
"""The arm of those who get no offer; other arms are named by their discount in percent."""


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """What a cart was given: `percent` is None for no offer. `arms` is how many could be chosen.

    `probability` is that of what was given, `withheld` that of no offer, both before anything was chosen.
    """

    percent: int | None
    method: Literal["held out", "random", "advised"]
    arms: int
    probability: float
    withheld: float

    @property
    def arm(self) -> str:
        """The name of what was given."""
        return NONE if self.percent is None else str(self.percent)


def allocate(person: str, journey: Journey, *, depths: tuple[int, ...], advised: int | None) -> Allocation:
    """A shopper's arm: held out, one of no offer and `depths` with equal chances, or what is advised.

    `depths` rise; `advised` is the discount in percent that is taken without the experiment, None for no offer.
    """
    arms = (None, *depths)

    def chance(percent: int | None) -> float:
        drawn = journey.explore * (percent in arms) / len(arms) + (1 - journey.explore) * (percent == advised)
        return journey.holdout * (percent is None) + (1 - journey.holdout) * drawn

    method: Literal["held out", "random", "advised"]
    number = uniform(f"explore\x1f{journey.name}\x1f{person}")
    if in_holdout(person, journey):
        method, percent = "held out", None
    elif number < journey.explore:
        method, percent = "random", arms[int(number / journey.explore * len(arms))]
    else:
        method, percent = "advised", advised
    return Allocation(
        percent=percent, method=method, arms=len(arms), probability=chance(percent), withheld=chance(None)
    )


def in_holdout(person: str, journey: Journey) -> bool:
    """Whether a shopper belongs to the share that gets nothing: the same answer for ever and everywhere."""
    return uniform(f"{journey.name}\x1f{person}") < journey.holdout


def uniform(text: str) -> float:
    """A hash of a text as a number from 0 (included) to 1 (excluded), uniformly distributed."""
    # 53 bits: any more would round up to 1.
    return (int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 11) / 2**53
