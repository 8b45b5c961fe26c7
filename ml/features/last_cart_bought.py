"""1 when the visitor bought the cart before the open one, 0 when they left it, -1 when there is none."""

from ml.clickstream.lookback import newest, of, pl
from ml.features import Feature
from ml.features.earlier_carts import TOUCHES, Carts, aids, carts

feature = Feature(
    scope="visitor",
    kinds=TOUCHES,
    begin=Carts(),
    update=carts,
    value=lambda known, _now: known.last_bought,
    aids=aids,
    expression=lambda: newest(of("purchase").cast(int), pl.col("ends"), otherwise=-1),
    describe=lambda value: {1: "bought the last cart", 0: "left the last cart"}.get(int(value), "has no earlier cart"),
)
