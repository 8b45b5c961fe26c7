"""What is known of the visitor from before: visits, products carted, purchases."""

# ruff: noqa: PLC0415  polars is needed off line only, and costs a serving process 25 MB

from typing import TYPE_CHECKING, ClassVar

from ml.steps import Step
from ml.words import count, times

if TYPE_CHECKING:
    import polars as pl


class VisitNumber:
    """The number of sessions of the visitor so far, this one included."""

    name: ClassVar = "visit_number"
    scope: ClassVar = "visitor"
    __slots__ = ("sessions",)

    def __init__(self) -> None:
        self.sessions: set[str] = set()

    def update(self, step: Step) -> None:
        """Remember the session."""
        self.sessions.add(step.session)

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """How many."""
        return len(self.sessions)

    @staticmethod
    def expression() -> "pl.Expr":
        """How many."""
        import polars as pl

        session = pl.when(pl.col("kind") != "moment").then(pl.col("session"))
        new = session.is_first_distinct() & session.is_not_null()
        return new.cast(pl.Int64).cum_sum().over("visitor")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"is here for the {value:.0f}th time" if value > 3 else f"has come {times(value)}"


class VisitorCartAdds:
    """Products that the visitor ever put into a cart."""

    name: ClassVar = "visitor_cart_adds"
    scope: ClassVar = "visitor"
    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = 0

    def update(self, step: Step) -> None:
        """Count a product that joined."""
        self.seen += step.kind == "cart"

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """How many."""
        return self.seen

    @staticmethod
    def expression() -> "pl.Expr":
        """How many."""
        import polars as pl

        return (pl.col("kind") == "cart").cast(pl.Int64).cum_sum().over("visitor")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"ever put {count(value, 'product')} into a cart" if value else "never put a product into a cart"


class VisitorPurchases:
    """Purchases of the visitor so far."""

    name: ClassVar = "visitor_purchases"
    scope: ClassVar = "visitor"
    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = 0

    def update(self, step: Step) -> None:
        """Count a purchase."""
        self.seen += step.kind == "purchase"

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """How many."""
        return self.seen

    @staticmethod
    def expression() -> "pl.Expr":
        """How many."""
        import polars as pl

        return (pl.col("kind") == "purchase").cast(pl.Int64).cum_sum().over("visitor")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"has bought {times(value)} before" if value else "has never bought here"
