"""What the session's cart is worth now, in major units."""

from ml.clickstream.lookback import newest, of
from ml.features import Feature, formatting

feature = Feature(
    scope="session",
    kinds=("cart", "change", "purchase"),
    begin=0.0,
    update=lambda _, step: step.cart_value,
    expression=lambda: newest("cart_value", of("cart", "change", "purchase"), otherwise=0.0),
    describe=lambda value: f"has a cart worth {formatting.money(value)}" if value else "has a cart worth nothing",
)
