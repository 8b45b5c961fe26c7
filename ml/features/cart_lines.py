"""Products in the session's cart now; a purchase empties it."""

from ml.clickstream.lookback import newest, of
from ml.features import Feature, formatting

feature = Feature(
    scope="session",
    kinds=("cart", "change", "purchase"),
    update=lambda _, step: step.cart_lines,
    expression=lambda: newest("cart_lines", of("cart", "change", "purchase"), otherwise=0),
    describe=lambda value: f"has {formatting.count(value, 'product')} in the cart" if value else "has an empty cart",
)
