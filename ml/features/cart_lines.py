"""Products in the session's cart now; a purchase empties it."""

from ml import words
from ml.features import Feature
from ml.lookback import newest, of

feature = Feature(
    scope="session",
    hears=("cart", "change", "purchase"),
    update=lambda _, step: step.cart_lines,
    expression=lambda: newest("cart_lines", of("cart", "change", "purchase"), otherwise=0),
    words=lambda value: f"has {words.count(value, 'product')} in the cart" if value else "has an empty cart",
)
