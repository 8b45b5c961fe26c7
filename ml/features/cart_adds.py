"""Products put into the cart so far in the session."""

from ml import words
from ml.features import Feature, count
from ml.lookback import of, so_far

feature = Feature(
    scope="session",
    hears=("cart",),
    update=count,
    expression=lambda: so_far(of("cart")),
    words=lambda value: f"put {words.count(value, 'product')} into the cart" if value else "put nothing into the cart",
)
