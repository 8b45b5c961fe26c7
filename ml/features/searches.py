"""Searches so far in the session."""

from ml.clickstream.lookback import of, so_far
from ml.features import Feature, count, formatting

feature = Feature(
    scope="session",
    kinds=("search",),
    update=count,
    expression=lambda: so_far(of("search")),
    describe=lambda value: f"searched {formatting.times(value)}" if value else "did not search",
)
