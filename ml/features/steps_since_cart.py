"""Steps of the session since a product last joined the cart, -1 when none ever did."""

from ml.clickstream.lookback import NEVER, newest, of, pl
from ml.clickstream.steps import Step
from ml.features import Feature, formatting


def _update(since: int, step: Step) -> int:
    if step.kind == "cart":
        return 0
    return since + 1 if since >= 0 else since


feature = Feature(
    scope="session",
    begin=-1,
    update=_update,
    expression=lambda: (pl.col("nth") - newest(pl.col("nth").cast(float), of("cart"), otherwise=NEVER)).fill_nan(-1.0),
    describe=lambda value: (
        f"did {formatting.count(value, 'thing')} after filling the cart" if value >= 0 else "did not fill a cart"
    ),
)
