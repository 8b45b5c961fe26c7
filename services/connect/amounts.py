"""Amounts: decimal numbers with a currency become integer minor units, exactly or not at all."""

from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from mesh.errors import InvalidField
from mesh.money import minor_digits

HOW = "a decimal number such as 12.99"


def minor_units(value: Any, currency: Any, at: str, *, currency_at: str = "") -> dict[str, Any]:
    """`{"amount", "currency"}` of a JSON number or a text such as `12.99`.

    Raises InvalidField for what is no such number, for a currency that is missing, and for an amount with more places
    than the currency has: 12.999 EUR is a mistake, and rounding it would hide that.
    """
    if not isinstance(currency, str) or not currency.strip():
        raise InvalidField(currency_at or at, "an amount needs its currency, three letters such as EUR")
    code = currency.strip().upper()
    if type(value) in (int, float, str):
        found = _known_amount(value, code)
        if found is not None:
            return {"amount": found, "currency": code}
    return {"amount": _amount(value, code, at), "currency": code}


@lru_cache(maxsize=20_000, typed=True)
def _known_amount(value: float | str, code: str) -> int | None:
    """An amount by its number and currency, None for none: a shop has few prices, and each comes again and again."""
    try:
        return _amount(value, code, "")
    except InvalidField:
        return None


def _amount(value: Any, code: str, at: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidField(at, f"missing: {HOW}" if value is None else f"{type(value).__name__} is not {HOW}")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise InvalidField(at, f"{str(value)[:40]!r} is not {HOW}") from None
    if not number.is_finite() or abs(number) > 10**12:
        raise InvalidField(at, f"{str(value)[:40]!r} is not {HOW}")
    minor = number.scaleb(minor_digits(code)) if code.isascii() and code.isalpha() else number * 100
    rounded = minor.to_integral_value()
    # A library that computes with binary fractions sends 25.979999999999997 for 25.98: that is 25.98.
    if abs(minor - rounded) > (Decimal("1e-6") if isinstance(value, float) else 0):
        raise InvalidField(at, f"{str(value)[:40]!r} has more places than {code[:12]} has")
    return int(rounded)
