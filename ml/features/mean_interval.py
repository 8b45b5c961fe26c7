"""Mean seconds between the session's steps, 0 before the second."""

from ml import lookback, words
from ml.features import Feature
from ml.lookback import event, newest, pl, so_far
from ml.steps import Step


def _update(memory: tuple[float, float, int], step: Step) -> tuple[float, float, int]:
    began, _, steps = memory
    return (began if steps else step.at, step.at, steps + 1)


def _expression() -> "pl.Expr":
    began, last = lookback.first("at", event(), otherwise=0.0), newest("at", event(), otherwise=0.0)
    return pl.when(so_far(event()) > 1).then((last - began) / (so_far(event()) - 1)).otherwise(0.0)


feature = Feature(
    scope="session",
    begin=(0.0, 0.0, 0),
    update=_update,
    value=lambda memory, _now: (memory[1] - memory[0]) / (memory[2] - 1) if memory[2] > 1 else 0.0,
    expression=_expression,
    words=lambda value: f"takes {words.span(value)} a step" if value else "has only just come",
)
