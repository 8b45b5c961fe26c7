"""Seconds since the session's first step."""

from ml.clickstream.lookback import NEVER, event, newest, pl, since
from ml.features import Feature, first, formatting


def aids() -> dict[str, "pl.Expr"]:
    """`began`: when the session's first step was, or NEVER."""
    return {"began": newest("at", event() & (pl.col("nth") == 1), otherwise=NEVER)}


feature = Feature(
    scope="session",
    begin=None,
    update=first,
    value=lambda began, now: 0.0 if began is None else now - began,
    aids=aids,
    expression=lambda: since(pl.col("began"), otherwise=0.0),
    describe=lambda value: f"came {formatting.span(value)} ago",
)
