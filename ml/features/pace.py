"""The pace of a session: how long it lasts, how long it has been quiet, how fast it went."""

# ruff: noqa: PLC0415  polars is needed off line only, and costs a serving process 25 MB

from typing import TYPE_CHECKING, ClassVar

from ml.steps import Step
from ml.words import span

if TYPE_CHECKING:
    import polars as pl

_SESSION = ("visitor", "session")


class SecondsSinceFirst:
    """Seconds since the session's first step."""

    name: ClassVar = "seconds_since_first"
    scope: ClassVar = "session"
    __slots__ = ("first",)

    def __init__(self) -> None:
        self.first: float | None = None

    def update(self, step: Step) -> None:
        """Remember the first."""
        if self.first is None:
            self.first = step.at

    def value(self, now: float) -> float:
        """Seconds, 0 before the first step."""
        return 0.0 if self.first is None else now - self.first

    @staticmethod
    def expression() -> "pl.Expr":
        """Seconds, 0 before the first step."""
        import polars as pl

        first = pl.when(pl.col("kind") != "moment").then(pl.col("at")).cum_min().forward_fill().over(*_SESSION)
        return (pl.col("at") - first).fill_null(0.0)

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"came {span(value)} ago"


class SecondsIdle:
    """Seconds since the session's newest step."""

    name: ClassVar = "seconds_idle"
    scope: ClassVar = "session"
    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: float | None = None

    def update(self, step: Step) -> None:
        """Remember the newest."""
        self.last = step.at

    def value(self, now: float) -> float:
        """Seconds, 0 before the first step."""
        return 0.0 if self.last is None else now - self.last

    @staticmethod
    def expression() -> "pl.Expr":
        """Seconds, 0 before the first step."""
        import polars as pl

        last = pl.when(pl.col("kind") != "moment").then(pl.col("at")).forward_fill().over(*_SESSION)
        return (pl.col("at") - last).fill_null(0.0)

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"has been quiet for {span(value)}" if value >= 1 else "is active right now"


class LastGap:
    """Seconds between the session's two newest steps."""

    name: ClassVar = "last_gap"
    scope: ClassVar = "session"
    __slots__ = ("gap", "last")

    def __init__(self) -> None:
        self.last: float | None = None
        self.gap = -1.0

    def update(self, step: Step) -> None:
        """Measure the gap to the step before."""
        if self.last is not None:
            self.gap = step.at - self.last
        self.last = step.at

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """Seconds, -1 before the second step."""
        return self.gap

    @staticmethod
    def expression() -> "pl.Expr":
        """Seconds, -1 before the second step."""
        import polars as pl

        real = pl.col("kind") != "moment"
        happened = pl.when(real).then(pl.col("at"))
        before = happened.forward_fill().shift(1).over(*_SESSION)
        gap = pl.when(real).then(pl.col("at") - before)
        return gap.forward_fill().over(*_SESSION).fill_null(-1.0)

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"took {span(value)} over the last step" if value >= 0 else "made a single step"


class MeanInterval:
    """Mean seconds between the session's steps."""

    name: ClassVar = "mean_interval"
    scope: ClassVar = "session"
    __slots__ = ("first", "last", "steps")

    def __init__(self) -> None:
        self.first = self.last = 0.0
        self.steps = 0

    def update(self, step: Step) -> None:
        """Remember the ends and the number of steps between."""
        if not self.steps:
            self.first = step.at
        self.last = step.at
        self.steps += 1

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """Seconds, 0 before the second step."""
        return (self.last - self.first) / (self.steps - 1) if self.steps > 1 else 0.0

    @staticmethod
    def expression() -> "pl.Expr":
        """Seconds, 0 before the second step."""
        import polars as pl

        real = pl.col("kind") != "moment"
        happened = pl.when(real).then(pl.col("at"))
        first = happened.cum_min().forward_fill().over(*_SESSION)
        last = happened.forward_fill().over(*_SESSION)
        steps = real.cast(pl.Int64).cum_sum().over(*_SESSION)
        return pl.when(steps > 1).then((last - first) / (steps - 1)).otherwise(0.0)

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"takes {span(value)} a step" if value else "has only just come"
