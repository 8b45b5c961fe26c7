"""Seconds since the session's newest step."""

from ml.clickstream.lookback import NEVER, event, newest, pl, since
from ml.features import Feature, formatting, when


def aids() -> dict[str, "pl.Expr"]:
    """`last`: when the session's newest step was, or NEVER."""
    return {"last": newest("at", event(), otherwise=NEVER)}


feature = Feature(
    scope="session",
    begin=None,
    update=when,
    value=lambda last, now: 0.0 if last is None else now - last,
    aids=aids,
    expression=lambda: since(pl.col("last"), otherwise=0.0),
    describe=lambda value: f"has been quiet for {formatting.span(value)}" if value >= 1 else "is active right now",
)
