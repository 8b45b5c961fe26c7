"""Mean seconds between the session's steps, 0 before the second."""

from ml.clickstream.lookback import pl
from ml.clickstream.steps import Step
from ml.features import Feature, formatting, seconds_idle, seconds_since_first


def _update(memory: tuple[float, float, int], step: Step) -> tuple[float, float, int]:
    began, _, steps = memory
    return (began if steps else step.at, step.at, steps + 1)


def _expression() -> "pl.Expr":
    mean = (pl.col("last") - pl.col("began")) / (pl.col("nth") - 1)
    return pl.when(pl.col("nth") > 1).then(mean).otherwise(0.0)


feature = Feature(
    scope="session",
    begin=(0.0, 0.0, 0),
    update=_update,
    value=lambda memory, _now: (memory[1] - memory[0]) / (memory[2] - 1) if memory[2] > 1 else 0.0,
    aids=lambda: seconds_since_first.aids() | seconds_idle.aids(),
    expression=_expression,
    describe=lambda value: f"takes {formatting.span(value)} a step" if value else "has only just come",
)
