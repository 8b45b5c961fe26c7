"""Money: an amount in integer minor units of a currency."""

from decimal import Decimal

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

    def decimal(self) -> Decimal:
        """The amount in major units (12.99)."""
        return Decimal(self.amount).scaleb(-minor_digits(self.currency))


_MINOR_DIGITS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "OMR": 3, "TND": 3, "JOD": 3}


def minor_digits(currency: str) -> int:
    """Decimal places of a currency's minor unit (ISO 4217); 2 unless it is one of the exceptions."""
    return _MINOR_DIGITS.get(currency, 2)
