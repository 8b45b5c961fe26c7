"""Views of the product that the session viewed most often."""

from ml.clickstream.lookback import most, pl
from ml.features import Feature, formatting
from ml.features.unique_products import NONE, interest

feature = Feature(
    scope="session",
    kinds=("view", "cart"),
    begin=NONE,
    update=interest,
    value=lambda known, _now: max(known.views.values(), default=0),
    expression=lambda: most(pl.col("looks")),
    describe=lambda value: (
        f"came {formatting.times(value)} for the same product" if value > 1 else "looked at no product twice"
    ),
)
