"""How often the session went to the till."""

from ml import words
from ml.features import Feature, count
from ml.lookback import of, so_far

feature = Feature(
    scope="session",
    hears=("checkout",),
    update=count,
    expression=lambda: so_far(of("checkout")),
    words=lambda value: f"went to the till {words.times(value)}" if value else "did not go to the till",
)
