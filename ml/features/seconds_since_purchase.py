"""Seconds since the visitor's newest purchase, -1 when they never bought."""

from ml import words
from ml.features import Feature, elapsed, when
from ml.lookback import NEVER, newest, of, since

feature = Feature(
    scope="visitor",
    hears=("purchase",),
    begin=None,
    update=when,
    value=elapsed,
    expression=lambda: since(newest("at", of("purchase"), otherwise=NEVER)),
    words=lambda value: f"bought {words.span(value)} ago" if value >= 0 else "has never bought here",
)
