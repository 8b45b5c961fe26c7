"""Views of products that the session had put into the cart before."""

from ml.clickstream.lookback import pl, so_far
from ml.features import Feature, formatting
from ml.features.unique_products import NONE, interest

feature = Feature(
    scope="session",
    kinds=("view", "cart"),
    begin=NONE,
    update=interest,
    value=lambda known, _now: known.again,
    expression=lambda: so_far(pl.col("again")),
    describe=lambda value: (
        f"looked at what is in the cart {formatting.times(value)} more"
        if value
        else "did not look at the cart's products again"
    ),
)
