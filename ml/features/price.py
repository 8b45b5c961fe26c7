"""What the looked-at products cost."""

# ruff: noqa: PLC0415  polars is needed off line only, and costs a serving process 25 MB

from typing import TYPE_CHECKING, ClassVar

from ml.steps import Step
from ml.words import money

if TYPE_CHECKING:
    import polars as pl


class LastPrice:
    """The price of the product last viewed in the session, in major units."""

    name: ClassVar = "last_price"
    scope: ClassVar = "session"
    __slots__ = ("price",)

    def __init__(self) -> None:
        self.price = 0.0

    def update(self, step: Step) -> None:
        """Remember the newest view's price."""
        if step.kind == "view":
            self.price = step.price

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """Major units, 0 before the first view or when it had no price."""
        return self.price

    @staticmethod
    def expression() -> "pl.Expr":
        """Major units, 0 before the first view or when it had no price."""
        import polars as pl

        seen = pl.when(pl.col("kind") == "view").then(pl.col("price"))
        return seen.forward_fill().over("visitor", "session").fill_null(0.0)

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"last looked at something for {money(value)}" if value else "looked at nothing with a price"
