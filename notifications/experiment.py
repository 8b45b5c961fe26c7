"""The standing experiment: who gets nothing, who gets an offer by lot, and with what probability.

A shopper is always drawn the same lot: it is a hash of journey and person, so that nothing need be remembered.
"""

from hashlib import blake2b
from typing import Literal

import msgspec

from notifications.journeys import Journey

NONE = "none"
"""The arm of those who get no offer; other arms are named by their discount in percent."""


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """What a cart was given: `percent` is None for no offer. `arms` is how many could be drawn.

    `probability` is that of what was given, `withheld` that of no offer, both before anything was drawn.
    """

    percent: int | None
    how: Literal["held out", "drawn", "advised"]
    arms: int
    probability: float
    withheld: float

    @property
    def arm(self) -> str:
        """The name of what was given."""
        return NONE if self.percent is None else str(self.percent)


def draw(person: str, journey: Journey, *, depths: tuple[int, ...], advised: int | None) -> Lot:
    """A shopper's lot: held out, one of no offer and `depths` with equal chances, or what is advised.

    `depths` rise; `advised` is the discount in percent that is taken without the experiment, None for no offer.
    """
    arms = (None, *depths)

    def chance(percent: int | None) -> float:
        drawn = journey.explore * (percent in arms) / len(arms) + (1 - journey.explore) * (percent == advised)
        return journey.holdout * (percent is None) + (1 - journey.holdout) * drawn

    how: Literal["held out", "drawn", "advised"]
    place = _place(f"explore\x1f{journey.name}\x1f{person}")
    if in_holdout(person, journey):
        how, percent = "held out", None
    elif place < journey.explore:
        how, percent = "drawn", arms[int(place / journey.explore * len(arms))]
    else:
        how, percent = "advised", advised
    return Lot(percent=percent, how=how, arms=len(arms), probability=chance(percent), withheld=chance(None))


def in_holdout(person: str, journey: Journey) -> bool:
    """Whether a shopper belongs to the share that gets nothing: the same answer for ever and everywhere."""
    return _place(f"{journey.name}\x1f{person}") < journey.holdout


def _place(text: str) -> float:
    """A place in 0 (included) to 1 (left out) that is as good as drawn by lot."""
    # 53 bits: any more would round up to 1.
    return (int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 11) / 2**53
