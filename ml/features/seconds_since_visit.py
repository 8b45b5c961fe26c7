"""Seconds since the last step of the visitor's session before this one, -1 in their first."""

from typing import NamedTuple

from ml.clickstream.lookback import NEVER, before, event, newest, pl, since
from ml.clickstream.steps import Step
from ml.features import Feature, elapsed, formatting


class Visits(NamedTuple):
    """The session that the visitor is in, its newest step, and when they were last in another."""

    session: str | None = None
    last: float | None = None
    ended: float | None = None


def _update(known: Visits, step: Step) -> Visits:
    return Visits(step.session, step.at, known.ended if step.session == known.session else known.last)


def _expression() -> "pl.Expr":
    owner = before(newest(pl.col("trip").cast(pl.Int64), event(), otherwise=-1), otherwise=-1)
    last = before(newest("at", event(), otherwise=NEVER), otherwise=NEVER)
    return since(newest(last, event() & (owner >= 0) & (owner != pl.col("trip")), otherwise=NEVER))


feature = Feature(
    scope="visitor",
    begin=Visits(),
    update=_update,
    value=lambda known, now: elapsed(known.ended, now),
    expression=_expression,
    describe=lambda value: (
        f"was last here {formatting.span(value)} before" if value >= 0 else "is here for the first time"
    ),
)
