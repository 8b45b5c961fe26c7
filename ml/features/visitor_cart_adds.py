"""Products that the visitor ever put into a cart."""

from ml import words
from ml.features import Feature, count
from ml.lookback import of, so_far

feature = Feature(
    scope="visitor",
    hears=("cart",),
    update=count,
    expression=lambda: so_far(of("cart")),
    words=lambda value: (
        f"ever put {words.count(value, 'product')} into a cart" if value else "never put a product into a cart"
    ),
)
