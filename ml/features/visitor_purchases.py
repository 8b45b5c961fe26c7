"""Purchases of the visitor so far."""

from ml import words
from ml.features import Feature, count
from ml.lookback import of, so_far

feature = Feature(
    scope="visitor",
    hears=("purchase",),
    update=count,
    expression=lambda: so_far(of("purchase")),
    words=lambda value: f"has bought {words.times(value)} before" if value else "has never bought here",
)
