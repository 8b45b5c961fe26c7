"""Where a session comes from: the device in the shopper's hand and whether another site sent them."""

# ruff: noqa: PLC0415  polars is needed off line only, and costs a serving process 25 MB

from typing import TYPE_CHECKING, ClassVar

from ml.steps import Step

if TYPE_CHECKING:
    import polars as pl

_SESSION = ("visitor", "session")


class Mobile:
    """1 when the session's newest known device is a phone, 0 when it is another, -1 when none is known."""

    name: ClassVar = "mobile"
    scope: ClassVar = "session"
    __slots__ = ("phone",)

    def __init__(self) -> None:
        self.phone = -1.0

    def update(self, step: Step) -> None:
        """Remember the newest device."""
        if step.device is not None:
            self.phone = float(step.device in ("mobile", "phone"))

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """1, 0 or -1."""
        return self.phone

    @staticmethod
    def expression() -> "pl.Expr":
        """1, 0 or -1."""
        import polars as pl

        phone = pl.col("device").is_in(["mobile", "phone"]).cast(pl.Float64)
        return phone.forward_fill().over(*_SESSION).fill_null(-1.0)

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return {1: "uses a phone", 0: "uses no phone"}.get(int(value), "uses an unknown device")


class Referred:
    """1 when the session was sent by another page, 0 as far as is known it was not."""

    name: ClassVar = "referred"
    scope: ClassVar = "session"
    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent = 0.0

    def update(self, step: Step) -> None:
        """Remember that a referrer was named."""
        if step.referrer:
            self.sent = 1.0

    def value(self, now: float) -> float:  # noqa: ARG002  the protocol's
        """1 or 0."""
        return self.sent

    @staticmethod
    def expression() -> "pl.Expr":
        """1 or 0."""
        import polars as pl

        named = pl.col("referrer").fill_null("") != ""
        return named.cast(pl.Float64).cum_max().over(*_SESSION)

    @staticmethod
    def words(value: float) -> str:
        """In words."""
        return "was sent by another page" if value else "came by themselves"
