"""The number of sessions of the visitor so far, this one included, at most 500."""

from ml.clickstream.lookback import pl, so_far
from ml.clickstream.steps import Step
from ml.features import Feature, formatting

MOST_VISITS = 500


def _update(sessions: frozenset[str], step: Step) -> frozenset[str]:
    known = step.session in sessions or len(sessions) >= MOST_VISITS
    return sessions if known else sessions | {step.session}


feature = Feature(
    scope="visitor",
    begin=frozenset(),
    update=_update,
    value=lambda sessions, _now: len(sessions),
    expression=lambda: so_far(pl.col("arrives")).clip(upper_bound=MOST_VISITS),
    describe=lambda value: f"has come {formatting.times(value)}" if value else "has not been here",
)
