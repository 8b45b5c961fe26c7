"""Seconds since the visitor's newest purchase, -1 when they never bought."""

from ml.clickstream.lookback import NEVER, newest, of, since
from ml.features import Feature, elapsed, formatting, when

feature = Feature(
    scope="visitor",
    kinds=("purchase",),
    begin=None,
    update=when,
    value=elapsed,
    expression=lambda: since(newest("at", of("purchase"), otherwise=NEVER)),
    describe=lambda value: f"bought {formatting.span(value)} ago" if value >= 0 else "has never bought here",
)
