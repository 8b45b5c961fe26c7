"""Products that the visitor ever put into a cart."""

from ml.clickstream.lookback import of, so_far
from ml.features import Feature, count, formatting

feature = Feature(
    scope="visitor",
    kinds=("cart",),
    update=count,
    expression=lambda: so_far(of("cart")),
    describe=lambda value: (
        f"ever put {formatting.count(value, 'product')} into a cart" if value else "never put a product into a cart"
    ),
)
