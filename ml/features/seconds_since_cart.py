"""Seconds since a product last joined the session's cart, -1 when none ever did."""

from ml.clickstream.lookback import NEVER, newest, of, since
from ml.features import Feature, elapsed, formatting, when

feature = Feature(
    scope="session",
    kinds=("cart",),
    begin=None,
    update=when,
    value=elapsed,
    expression=lambda: since(newest("at", of("cart"), otherwise=NEVER)),
    describe=lambda value: f"filled the cart {formatting.span(value)} ago" if value >= 0 else "never filled the cart",
)
