"""Different products viewed or put into the cart so far in the session, at most 256."""

from typing import NamedTuple

from ml.clickstream.lookback import pl, so_far
from ml.clickstream.steps import MOST_PRODUCTS, Step
from ml.features import Feature, formatting


class Interest(NamedTuple):
    """What a session did with each product it met: how often it viewed it, and whether it ever joined the cart."""

    views: dict[str, int]
    carted: frozenset[str]
    again: int
    """Views of products that had joined the cart before."""


NONE = Interest({}, frozenset(), 0)


def interest(known: Interest, step: Step) -> Interest:
    """The interest after a view, or after a product joined the cart. Of more than 256 products the first count."""
    product, views = step.product, known.views
    if product is None or (product not in views and len(views) >= MOST_PRODUCTS):
        return known
    if step.kind == "cart":
        views = views if product in views else {**views, product: 0}
        return Interest(views, known.carted if product in known.carted else known.carted | {product}, known.again)
    return Interest(
        {**views, product: views.get(product, 0) + 1}, known.carted, known.again + (product in known.carted)
    )


feature = Feature(
    scope="session",
    kinds=("view", "cart"),
    begin=NONE,
    update=interest,
    value=lambda known, _now: len(known.views),
    expression=lambda: so_far(pl.col("fresh")),
    describe=lambda value: f"was interested in {formatting.count(value, 'different product')}",
)
