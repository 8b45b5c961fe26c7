"""Money: an amount in integer minor units of a currency."""

from collections.abc import Iterable
from decimal import Decimal
from functools import cache

import msgspec


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """An amount in integer minor units (cents, yen) of an ISO 4217 currency."""

    amount: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        """Sum of two amounts of one currency; ValueError when the currencies differ."""
        if other.currency != self.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(amount=self.amount + other.amount, currency=self.currency)

    def __mul__(self, count: int) -> "Money":
        """The price of `count` pieces."""
        return Money(amount=self.amount * count, currency=self.currency)

    @classmethod
    def sum(cls, amounts: Iterable["Money"]) -> "Money | None":
        """What they come to; None where there are none. ValueError where the currencies differ.

        Amounts of different currencies are never added and none is left out: who may meet several uses `by_currency`.
        """
        total: Money | None = None
        for one in amounts:
            total = one if total is None else total + one
        return total

    @classmethod
    def by_currency(cls, amounts: Iterable["Money"]) -> "dict[str, Money]":
        """What they come to, per currency."""
        totals: dict[str, Money] = {}
        for one in amounts:
            totals[one.currency] = totals[one.currency] + one if one.currency in totals else one
        return totals

    def decimal(self) -> Decimal:
        """The amount in major units (12.99)."""
        return Decimal(self.amount).scaleb(-minor_digits(self.currency))


@cache
def minor_digits(currency: str) -> int:
    """Decimal places of a currency's minor unit: 2 for EUR, 0 for JPY, 3 for KWD, 4 for UYW.

    From ISO 4217's own table; CLDR's says how amounts are usually written, which differs. A code that the table does
    not hold, as of a currency that was withdrawn, or that has no minor unit, as gold, gets 2: what was stored under
    it must stay readable. Whether a code may be used is checked where money comes in.
    """
    from iso4217 import Currency  # noqa: PLC0415  90 ms of start-up time, and few processes write amounts out

    try:
        exponent = Currency(currency).exponent
    except ValueError:
        exponent = None
    return 2 if exponent is None else int(exponent)
