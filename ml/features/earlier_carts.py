"""Carts that the visitor left or bought before the one that is open now.

A cart ends when it is bought, or when the visitor touches a cart in another session.
"""

from typing import NamedTuple

from ml.clickstream.lookback import before, cents, newest, of, pl, so_far
from ml.clickstream.steps import Kind, Step
from ml.clickstream.steps import cents as hundredths
from ml.features import Feature, formatting

TOUCHES: tuple[Kind, ...] = ("cart", "change", "purchase")


class Carts(NamedTuple):
    """A visitor's open cart (its session and worth in hundredths, None when empty) and those before it."""

    session: str | None = None
    worth: int = 0
    ended: int = 0
    ended_worth: int = 0
    bought: int = 0
    last_bought: int = -1


def carts(known: Carts, step: Step) -> Carts:
    """The carts after one was touched."""
    session, worth = (step.session, hundredths(step.cart_value)) if step.cart_lines else (None, 0)
    bought = step.kind == "purchase"
    if known.session is None or not (bought or step.session != known.session):
        return known._replace(session=session, worth=worth)
    return Carts(session, worth, known.ended + 1, known.ended_worth + known.worth, known.bought + bought, int(bought))


def aids() -> dict[str, "pl.Expr"]:
    """`open_worth` and `open_lines` of the visitor's open cart, and whether the row `ends` the one before it."""
    touched = of(*TOUCHES)
    worth = pl.when(pl.col("cart_lines") > 0).then(cents("cart_value")).otherwise(0)
    owner = before(newest(pl.col("trip").cast(pl.Int64), touched, otherwise=-1), otherwise=-1)
    filled = before(pl.col("open_lines"), otherwise=0) > 0
    return {
        "open_worth": newest(worth, touched, otherwise=0),
        "open_lines": newest("cart_lines", touched, otherwise=0),
        "ends": filled & (of("purchase") | (touched & (pl.col("trip") != owner))),
        "ended": so_far(pl.col("ends")),
    }


feature = Feature(
    scope="visitor",
    kinds=TOUCHES,
    begin=Carts(),
    update=carts,
    value=lambda known, _now: known.ended,
    aids=aids,
    expression=lambda: pl.col("ended"),
    describe=lambda value: (
        f"filled {formatting.count(value, 'cart')} before" if value else "never filled a cart before"
    ),
)
