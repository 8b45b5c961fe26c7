"""Click model: how attractive products are, apart from where they were shown.

The position-based model (Richardson, Dominowska and Ragno, WWW 2007): a click on a product at a spot (place and
position) is as likely as the spot is looked at times how attractive the product is. Both are estimated in turn from
counts, as rates of a Poisson model, so a product that only stood first is not taken for a better one, nor a spot that
only had the best for one that is looked at more. Attractiveness is shrunk towards 1, the average, by `PRIOR` expected
clicks (a gamma prior): of little evidence follows little.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
PRIOR = 5.0
ROUNDS = 30
LEAST_RATE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What was shown, in time order, an impression a row: (n,) spots, items, whether clicked, and of which list."""

    spots: Ints
    items: Ints
    clicked: Floats
    lists: Ints

    def part(self, rows: NDArray[np.bool_]) -> "Shown":
        """Some of the impressions."""
        return Shown(spots=self.spots[rows], items=self.items[rows], clicked=self.clicked[rows], lists=self.lists[rows])


class ClickModel:
    """`looked_` (spots,): how likely a click is there on an average product. `appeal_` (items,): 1 is the average."""

    def __init__(self, *, prior: float = PRIOR, rounds: int = ROUNDS) -> None:
        self.prior, self.rounds = prior, rounds

    def fit(self, shown: Shown, *, spots: int, items: int) -> Self:
        """Estimate both from impressions; `spots` and `items` are how many there are."""
        clicks_of_spot = np.bincount(shown.spots, shown.clicked, spots)
        clicks_of_item = np.bincount(shown.items, shown.clicked, items)
        self.appeal_ = np.ones(items)
        for _ in range(self.rounds):
            seen = np.bincount(shown.spots, self.appeal_[shown.items], spots)
            self.looked_ = clicks_of_spot / np.maximum(seen, LEAST_RATE)
            expected = np.bincount(shown.items, self.looked_[shown.spots], items)
            self.appeal_ = (clicks_of_item + self.prior) / (expected + self.prior)
        return self

    def gains(self, shown: Shown) -> Floats:
        """By list (lists,): how much better than spots alone the model foretells its clicks, in log likelihood."""
        rates = np.maximum(self.looked_[shown.spots], LEAST_RATE)
        appeal = self.appeal_[shown.items]
        gained = shown.clicked * np.log(appeal) - rates * (appeal - 1)
        _, lists = np.unique(shown.lists, return_inverse=True)
        return np.bincount(lists, gained)
