"""Product views so far in the session."""

from ml.clickstream.lookback import of, so_far
from ml.features import Feature, count, formatting

feature = Feature(
    scope="session",
    kinds=("view",),
    update=count,
    expression=lambda: so_far(of("view")),
    describe=lambda value: (
        f"looked at {formatting.count(value, 'product page')}" if value else "looked at no product page"
    ),
)
