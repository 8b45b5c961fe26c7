"""Seconds since the session's newest step."""

from ml import words
from ml.features import Feature, when
from ml.lookback import NEVER, event, newest, since

feature = Feature(
    scope="session",
    begin=None,
    update=when,
    value=lambda last, now: 0.0 if last is None else now - last,
    expression=lambda: since(newest("at", event(), otherwise=NEVER), otherwise=0.0),
    words=lambda value: f"has been quiet for {words.span(value)}" if value >= 1 else "is active right now",
)
