"""Products put into the cart so far in the session."""

from ml.clickstream.lookback import of, so_far
from ml.features import Feature, count, formatting

feature = Feature(
    scope="session",
    kinds=("cart",),
    update=count,
    expression=lambda: so_far(of("cart")),
    describe=lambda value: (
        f"put {formatting.count(value, 'product')} into the cart" if value else "put nothing into the cart"
    ),
)
