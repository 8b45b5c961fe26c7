"""What the visitor's open cart is worth against the mean of their earlier carts, -1 where there is none to compare."""

from ml.clickstream.lookback import before, pl, total
from ml.features import Feature
from ml.features.earlier_carts import TOUCHES, Carts, aids, carts


def _value(known: Carts, _now: float) -> float:
    return known.worth * known.ended / known.ended_worth if known.ended_worth else -1.0


def _expression() -> "pl.Expr":
    earlier = total(pl.when("ends").then(before(pl.col("open_worth"), otherwise=0)).otherwise(0))
    ratio = pl.col("open_worth") * pl.col("ended") / earlier
    return pl.when(ratio.is_finite()).then(ratio).otherwise(-1.0)


feature = Feature(
    scope="visitor",
    kinds=TOUCHES,
    begin=Carts(),
    update=carts,
    value=_value,
    aids=aids,
    expression=_expression,
    describe=lambda value: (
        f"has a cart worth {value:.1f} times the earlier ones" if value >= 0 else "has no earlier cart to compare with"
    ),
)
