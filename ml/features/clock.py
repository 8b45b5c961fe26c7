"""When it is: the hour and the weekday, in UTC (a shopper's zone is personal and does not reach the models)."""

# ruff: noqa: PLC0415  polars is needed off line only, and costs a serving process 25 MB

from typing import TYPE_CHECKING, ClassVar

from ml.steps import Step

if TYPE_CHECKING:
    import polars as pl

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY = 86_400


class Hour:
    """The hour of the day, 0 to 23 UTC."""

    name: ClassVar = "hour"
    scope: ClassVar = "visitor"
    __slots__ = ()

    def update(self, step: Step) -> None:
        """The hour depends on no step."""

    def value(self, now: float) -> float:
        """0 to 23."""
        return now // 3_600 % 24

    @staticmethod
    def expression() -> "pl.Expr":
        """0 to 23."""
        import polars as pl

        return (pl.col("at") / 3_600).floor() % 24

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"comes at {value:02.0f} o'clock (UTC)"


class Weekday:
    """The day of the week, 0 Monday to 6 Sunday, UTC."""

    name: ClassVar = "weekday"
    scope: ClassVar = "visitor"
    __slots__ = ()

    def update(self, step: Step) -> None:
        """The weekday depends on no step."""

    def value(self, now: float) -> float:
        """0 to 6; 1970 began on a Thursday."""
        return (now // _DAY + 3) % 7

    @staticmethod
    def expression() -> "pl.Expr":
        """0 to 6; 1970 began on a Thursday."""
        import polars as pl

        return ((pl.col("at") / _DAY).floor() + 3) % 7

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"comes on a {_DAYS[int(value) % 7]}"
