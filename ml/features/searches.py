"""Searches so far in the session."""

from ml import words
from ml.features import Feature, count
from ml.lookback import of, so_far

feature = Feature(
    scope="session",
    hears=("search",),
    update=count,
    expression=lambda: so_far(of("search")),
    words=lambda value: f"searched {words.times(value)}" if value else "did not search",
)
