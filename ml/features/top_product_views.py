"""Views of the product that the session viewed most often."""

from ml import words
from ml.features import Feature
from ml.features.unique_products import NONE, interest
from ml.lookback import most, pl

feature = Feature(
    scope="session",
    hears=("view", "cart"),
    begin=NONE,
    update=interest,
    value=lambda known, _now: max(known.views.values(), default=0),
    expression=lambda: most(pl.col("looks")),
    words=lambda value: (
        f"came {words.times(value)} for the same product" if value > 1 else "looked at no product twice"
    ),
)
