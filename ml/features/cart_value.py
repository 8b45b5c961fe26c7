"""What the session's cart is worth now, in major units."""

from ml import words
from ml.features import Feature
from ml.lookback import newest, of

feature = Feature(
    scope="session",
    hears=("cart", "change", "purchase"),
    begin=0.0,
    update=lambda _, step: step.cart_value,
    expression=lambda: newest("cart_value", of("cart", "change", "purchase"), otherwise=0.0),
    words=lambda value: f"has a cart worth {words.money(value)}" if value else "has a cart worth nothing",
)
