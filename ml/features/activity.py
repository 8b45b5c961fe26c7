"""How much happened in the session: views, searches, checkouts, products put into the cart."""

# ruff: noqa: PLC0415  polars is needed off line only, and costs a serving process 25 MB

from typing import TYPE_CHECKING, ClassVar

from ml.steps import Step
from ml.words import count, times

if TYPE_CHECKING:
    import polars as pl


def _counted(kind: str) -> "pl.Expr":
    import polars as pl

    return (pl.col("kind") == kind).cast(pl.Int64).cum_sum().over("visitor", "session")


class Views:
    """Product views so far in the session."""

    name: ClassVar = "views"
    scope: ClassVar = "session"
    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = 0

    def update(self, step: Step) -> None:
        """Count a view."""
        self.seen += step.kind == "view"

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """How many."""
        return self.seen

    @staticmethod
    def expression() -> "pl.Expr":
        """How many."""
        return _counted("view")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"looked at {count(value, 'product page')}" if value else "looked at no product page"


class Searches:
    """Searches so far in the session."""

    name: ClassVar = "searches"
    scope: ClassVar = "session"
    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = 0

    def update(self, step: Step) -> None:
        """Count a search."""
        self.seen += step.kind == "search"

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """How many."""
        return self.seen

    @staticmethod
    def expression() -> "pl.Expr":
        """How many."""
        return _counted("search")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"searched {times(value)}" if value else "did not search"


class Checkouts:
    """How often the session went to the till."""

    name: ClassVar = "checkouts"
    scope: ClassVar = "session"
    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = 0

    def update(self, step: Step) -> None:
        """Count a checkout."""
        self.seen += step.kind == "checkout"

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """How many."""
        return self.seen

    @staticmethod
    def expression() -> "pl.Expr":
        """How many."""
        return _counted("checkout")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"went to the till {times(value)}" if value else "did not go to the till"


class CartAdds:
    """Products put into the cart so far in the session."""

    name: ClassVar = "cart_adds"
    scope: ClassVar = "session"
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
        return _counted("cart")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"put {count(value, 'product')} into the cart" if value else "put nothing into the cart"
