"""Seconds since a product first joined the session's cart, -1 when none ever did."""

from ml.clickstream import lookback
from ml.clickstream.lookback import NEVER, of, since
from ml.features import Feature, elapsed, first, formatting

feature = Feature(
    scope="session",
    kinds=("cart",),
    begin=None,
    update=first,
    value=elapsed,
    expression=lambda: since(lookback.first("at", of("cart"), otherwise=NEVER)),
    describe=lambda value: f"began the cart {formatting.span(value)} ago" if value >= 0 else "never began a cart",
)
