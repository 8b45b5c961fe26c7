"""Purchases of the visitor so far."""

from ml.clickstream.lookback import of, so_far
from ml.features import Feature, count, formatting

feature = Feature(
    scope="visitor",
    kinds=("purchase",),
    update=count,
    expression=lambda: so_far(of("purchase")),
    describe=lambda value: f"has bought {formatting.times(value)} before" if value else "has never bought here",
)
