"""Seconds since the session's first step."""

from ml import lookback, words
from ml.features import Feature, first
from ml.lookback import NEVER, event, since

feature = Feature(
    scope="session",
    begin=None,
    update=first,
    value=lambda began, now: 0.0 if began is None else now - began,
    expression=lambda: since(lookback.first("at", event(), otherwise=NEVER), otherwise=0.0),
    words=lambda value: f"came {words.span(value)} ago",
)
