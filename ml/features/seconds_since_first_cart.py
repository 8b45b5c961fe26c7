"""Seconds since a product first joined the session's cart, -1 when none ever did."""

from ml import lookback, words
from ml.features import Feature, elapsed, first
from ml.lookback import NEVER, of, since

feature = Feature(
    scope="session",
    hears=("cart",),
    begin=None,
    update=first,
    value=elapsed,
    expression=lambda: since(lookback.first("at", of("cart"), otherwise=NEVER)),
    words=lambda value: f"began the cart {words.span(value)} ago" if value >= 0 else "never began a cart",
)
