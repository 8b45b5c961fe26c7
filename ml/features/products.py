"""Which products a session is about: how many different ones, and how often it came back to them."""

# ruff: noqa: PLC0415  polars is needed off line only, and costs a serving process 25 MB

from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from ml.steps import Step
from ml.words import count, times

if TYPE_CHECKING:
    import polars as pl


class UniqueProducts:
    """Different products viewed or put into the cart so far in the session."""

    name: ClassVar = "unique_products"
    scope: ClassVar = "session"
    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def update(self, step: Step) -> None:
        """Remember the product."""
        if step.product is not None:
            self.seen.add(step.product)

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """How many."""
        return len(self.seen)

    @staticmethod
    def expression() -> "pl.Expr":
        """How many."""
        import polars as pl

        new = pl.col("product").is_first_distinct() & pl.col("product").is_not_null()
        return new.cast(pl.Int64).cum_sum().over("visitor", "session")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"was interested in {count(value, 'different product')}"


class CartedViews:
    """Views of products that the session had put into the cart before."""

    name: ClassVar = "carted_views"
    scope: ClassVar = "session"
    __slots__ = ("carted", "seen")

    def __init__(self) -> None:
        self.carted: set[str] = set()
        self.seen = 0

    def update(self, step: Step) -> None:
        """Remember what was carted, count when it is looked at again."""
        if step.kind == "cart" and step.product is not None:
            self.carted.add(step.product)
        elif step.kind == "view" and step.product in self.carted:
            self.seen += 1

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """How many."""
        return self.seen

    @staticmethod
    def expression() -> "pl.Expr":
        """How many."""
        import polars as pl

        carted = (pl.col("kind") == "cart").cum_max().over("visitor", "session", "product")
        again = (pl.col("kind") == "view") & pl.col("product").is_not_null() & carted
        return again.cast(pl.Int64).cum_sum().over("visitor", "session")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return (
            f"looked at what is in the cart {times(value)} more"
            if value
            else "did not look at the cart's products again"
        )


class TopProductViews:
    """Views of the product that the session viewed most often."""

    name: ClassVar = "top_product_views"
    scope: ClassVar = "session"
    __slots__ = ("most", "seen")

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.most = 0

    def update(self, step: Step) -> None:
        """Count the view by its product."""
        if step.kind == "view" and step.product is not None:
            self.seen[step.product] += 1
            self.most = max(self.most, self.seen[step.product])

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """How many."""
        return self.most

    @staticmethod
    def expression() -> "pl.Expr":
        """How many."""
        import polars as pl

        view = (pl.col("kind") == "view") & pl.col("product").is_not_null()
        nth = view.cast(pl.Int64).cum_sum().over("visitor", "session", "product")
        return pl.when(view).then(nth).otherwise(0).cum_max().over("visitor", "session")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"came {times(value)} for the same product" if value > 1 else "looked at no product twice"
