"""Product views so far in the session."""

from ml import words
from ml.features import Feature, count
from ml.lookback import of, so_far

feature = Feature(
    scope="session",
    hears=("view",),
    update=count,
    expression=lambda: so_far(of("view")),
    words=lambda value: f"looked at {words.count(value, 'product page')}" if value else "looked at no product page",
)
