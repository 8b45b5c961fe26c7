"""The cart as it is: lines, worth, and how long ago it was filled."""

# ruff: noqa: PLC0415  polars is needed off line only, and costs a serving process 25 MB

from typing import TYPE_CHECKING, ClassVar

from ml.steps import Step
from ml.words import count, money, span

if TYPE_CHECKING:
    import polars as pl

_SESSION = ("visitor", "session")
_TOUCHES = ("cart", "change", "purchase")


def _now(column: str) -> "pl.Expr":
    import polars as pl

    known = pl.when(pl.col("kind").is_in(_TOUCHES)).then(pl.col(column))
    return known.forward_fill().over(*_SESSION).fill_null(0)


class CartLines:
    """Products in the session's cart now; a purchase empties it."""

    name: ClassVar = "cart_lines"
    scope: ClassVar = "session"
    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines = 0

    def update(self, step: Step) -> None:
        """Take over the cart as the step left it."""
        if step.kind in _TOUCHES:
            self.lines = step.cart_lines

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """How many."""
        return self.lines

    @staticmethod
    def expression() -> "pl.Expr":
        """How many."""
        return _now("cart_lines")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"has {count(value, 'product')} in the cart" if value else "has an empty cart"


class CartValue:
    """What the session's cart is worth now, in major units."""

    name: ClassVar = "cart_value"
    scope: ClassVar = "session"
    __slots__ = ("worth",)

    def __init__(self) -> None:
        self.worth = 0.0

    def update(self, step: Step) -> None:
        """Take over the cart as the step left it."""
        if step.kind in _TOUCHES:
            self.worth = step.cart_value

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """Major units."""
        return self.worth

    @staticmethod
    def expression() -> "pl.Expr":
        """Major units."""
        return _now("cart_value")

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"has a cart worth {money(value)}" if value else "has a cart worth nothing"


class SecondsSinceCart:
    """Seconds since a product last joined the session's cart."""

    name: ClassVar = "seconds_since_cart"
    scope: ClassVar = "session"
    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: float | None = None

    def update(self, step: Step) -> None:
        """Remember when a product joined."""
        if step.kind == "cart":
            self.last = step.at

    def value(self, now: float) -> float:
        """Seconds, -1 when none ever did."""
        return -1.0 if self.last is None else now - self.last

    @staticmethod
    def expression() -> "pl.Expr":
        """Seconds, -1 when none ever did."""
        import polars as pl

        last = pl.when(pl.col("kind") == "cart").then(pl.col("at")).forward_fill().over(*_SESSION)
        return (pl.col("at") - last).fill_null(-1.0)

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"filled the cart {span(value)} ago" if value >= 0 else "never filled the cart"


class SecondsSinceFirstCart:
    """Seconds since a product first joined the session's cart."""

    name: ClassVar = "seconds_since_first_cart"
    scope: ClassVar = "session"
    __slots__ = ("first",)

    def __init__(self) -> None:
        self.first: float | None = None

    def update(self, step: Step) -> None:
        """Remember when a product first joined."""
        if step.kind == "cart" and self.first is None:
            self.first = step.at

    def value(self, now: float) -> float:
        """Seconds, -1 when none ever did."""
        return -1.0 if self.first is None else now - self.first

    @staticmethod
    def expression() -> "pl.Expr":
        """Seconds, -1 when none ever did."""
        import polars as pl

        first = pl.when(pl.col("kind") == "cart").then(pl.col("at")).cum_min().forward_fill().over(*_SESSION)
        return (pl.col("at") - first).fill_null(-1.0)

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return f"began the cart {span(value)} ago" if value >= 0 else "never began a cart"
