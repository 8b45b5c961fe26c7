"""1 when the session was sent by another page, 0 as far as is known it was not."""

from ml.clickstream.lookback import pl, so_far
from ml.features import Feature

feature = Feature(
    scope="session",
    update=lambda sent, step: 1 if step.referrer else sent,
    expression=lambda: so_far(pl.col("referrer").fill_null("") != "") > 0,
    describe=lambda value: "was sent by another page" if value else "came by themselves",
)
