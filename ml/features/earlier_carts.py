"""Carts that the visitor left or bought before the one that is open now.

A cart ends when it is bought, or when the visitor touches a cart in another session.
"""

from typing import NamedTuple

from ml import words
from ml.features import Feature
from ml.lookback import before, cents, newest, of, pl, so_far
from ml.steps import Kind, Step
from ml.steps import cents as hundredths

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


def open_worth() -> "pl.Expr":
    """What the visitor's open cart is worth, in hundredths."""
    worth = pl.when(pl.col("cart_lines") > 0).then(cents("cart_value")).otherwise(0)
    return newest(worth, of(*TOUCHES), otherwise=0)


def ends() -> "pl.Expr":
    """The row ends the visitor's cart."""
    owner = newest(pl.col("trip").cast(pl.Int64), of(*TOUCHES), otherwise=-1)
    filled = before(newest("cart_lines", of(*TOUCHES), otherwise=0), otherwise=0) > 0
    return filled & (of("purchase") | (of(*TOUCHES) & (pl.col("trip") != before(owner, otherwise=-1))))


feature = Feature(
    scope="visitor",
    hears=TOUCHES,
    begin=Carts(),
    update=carts,
    value=lambda known, _now: known.ended,
    expression=lambda: so_far(ends()),
    words=lambda value: f"filled {words.count(value, 'cart')} before" if value else "never filled a cart before",
)
