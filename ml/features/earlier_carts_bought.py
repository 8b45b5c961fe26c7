"""The share of the visitor's earlier carts that were bought, -1 when there are none."""

from ml.clickstream.lookback import of, pl, so_far
from ml.features import Feature
from ml.features.earlier_carts import TOUCHES, Carts, aids, carts

feature = Feature(
    scope="visitor",
    kinds=TOUCHES,
    begin=Carts(),
    update=carts,
    value=lambda known, _now: known.bought / known.ended if known.ended else -1.0,
    aids=aids,
    expression=lambda: (so_far(pl.col("ends") & of("purchase")) / pl.col("ended")).fill_nan(-1.0),
    describe=lambda value: f"bought {value:.0%} of the carts before" if value >= 0 else "has no earlier cart",
)
