"""How often the session went to the till."""

from ml.clickstream.lookback import of, so_far
from ml.features import Feature, count, formatting

feature = Feature(
    scope="session",
    kinds=("checkout",),
    update=count,
    expression=lambda: so_far(of("checkout")),
    describe=lambda value: f"went to the till {formatting.times(value)}" if value else "did not go to the till",
)
