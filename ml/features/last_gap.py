"""Seconds between the session's two newest steps, -1 before the second."""

from ml.clickstream.lookback import before, event, newest, pl
from ml.features import Feature, formatting
from ml.features.seconds_idle import aids

feature = Feature(
    scope="session",
    begin=(None, -1.0),
    update=lambda memory, step: (step.at, -1.0 if memory[0] is None else step.at - memory[0]),
    value=lambda memory, _now: memory[1],
    aids=aids,
    expression=lambda: newest(
        pl.col("at") - before(pl.col("last"), otherwise=0.0), event() & (pl.col("nth") > 1), otherwise=-1.0
    ),
    describe=lambda value: f"took {formatting.span(value)} over the last step" if value >= 0 else "made a single step",
)
