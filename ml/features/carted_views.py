"""Views of products that the session had put into the cart before."""

from ml import words
from ml.features import Feature
from ml.features.unique_products import NONE, interest
from ml.lookback import pl, so_far

feature = Feature(
    scope="session",
    hears=("view", "cart"),
    begin=NONE,
    update=interest,
    value=lambda known, _now: known.again,
    expression=lambda: so_far(pl.col("again")),
    words=lambda value: (
        f"looked at what is in the cart {words.times(value)} more"
        if value
        else "did not look at the cart's products again"
    ),
)
