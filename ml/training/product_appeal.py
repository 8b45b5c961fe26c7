"""Product appeal: which products are clicked more, or less, than where they were shown lets expect.

Learnt from the older lists and tried on the newest: only where it foretells their clicks beyond chance is it used.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ml.clickstream.impressions import Impressions, ShownList
from ml.models.click_model import ClickModel, Shown

TRIED = 0.2
"""The newest share of lists that it is tried on."""
LEAST_CLICKS = 50
"""Clicks in the older lists, below which nothing is learnt."""
MOST_POSITION = 10
"""Positions beyond this one count as one."""
MOST_PRODUCTS = 20_000


@dataclass(frozen=True, kw_only=True)
class ProductAppeal:
    """By product the logarithm of its appeal; empty where nothing was shown to be known. `explanation` say why."""

    log_appeal: Mapping[str, float]
    explanation: str


def learn_appeal(impressions: Iterable[Impressions]) -> ProductAppeal:
    """What lists of all regions teach. Never raises for few of them."""
    lists = sorted((shown for one in impressions for shown in one.lists()), key=lambda shown: shown.at)
    products: dict[str, int] = {}
    spots: dict[tuple[str, int], int] = {}
    shown = _table(lists, products, spots)
    older = shown.lists < int(len(lists) * (1 - TRIED))
    clicks = int(shown.part(older).clicked.sum())
    seen = f"{len(lists):,} lists shown, {int(shown.clicked.sum()):,} products clicked"
    if clicks < LEAST_CLICKS:
        return ProductAppeal(log_appeal={}, explanation=f"{seen}: too few clicks to learn from")
    sizes = {"spots": len(spots), "items": len(products)}
    gains = ClickModel().fit(shown.part(older), **sizes).gains(shown.part(~older))
    mean, error = float(gains.mean()), float(gains.std() / len(gains) ** 0.5)
    if mean <= 2 * error:
        return ProductAppeal(log_appeal={}, explanation=f"{seen}: which products does not show beyond chance")
    found = np.log(ClickModel().fit(shown, **sizes).appeal_)
    named = list(products)
    strongest = np.abs(found).argsort()[::-1][:MOST_PRODUCTS].tolist()
    return ProductAppeal(
        log_appeal={named[at]: round(float(found[at]), 4) for at in strongest},
        explanation=f"{seen}: products' own click rates foretell the newest lists' clicks",
    )


def _table(lists: Iterable[ShownList], products: dict[str, int], spots: dict[tuple[str, int], int]) -> Shown:
    rows = [
        (
            spots.setdefault((shown.place, min(position, MOST_POSITION)), len(spots)),
            products.setdefault(product, len(products)),
            product in shown.clicked,
            number,
        )
        for number, shown in enumerate(lists)
        for product, position in shown.positions.items()
    ]
    columns = np.array(rows, dtype=np.intp).reshape(len(rows), 4).T
    return Shown(spots=columns[0], items=columns[1], clicked=columns[2].astype(np.float64), lists=columns[3])
