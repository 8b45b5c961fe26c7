"""Amounts: what a comparison with money is written with, one amount for each currency."""

import re
from collections.abc import Sequence
from decimal import Decimal
from difflib import get_close_matches
from functools import cache

from mesh.errors import DeclarationError
from mesh.money import minor_digits

_amount = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,4})?) ([A-Z]{3})").fullmatch


def minor_amounts(texts: Sequence[str]) -> dict[str, int]:
    """`50 EUR` each, as minor units by currency. DeclarationError for what is none, and for two of one currency."""
    found: dict[str, int] = {}
    for text in texts:
        parts = _amount(text)
        if not parts:
            raise DeclarationError(f"amount {text!r}: write it like 50 EUR")
        currency = parts[2]
        if currency not in _currencies():
            near = get_close_matches(currency, _currencies(), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise DeclarationError(f"amount {text!r}: there is no currency {currency}{hint}")
        if currency in found:
            raise DeclarationError(f"amount {text!r}: {currency} is there already; write one amount for each currency")
        minor = Decimal(parts[1]).scaleb(minor_digits(currency))
        if minor != int(minor):
            raise DeclarationError(f"amount {text!r}: {currency} has {minor_digits(currency)} decimal places")
        found[currency] = int(minor)
    return found


@cache
def _currencies() -> dict[str, None]:
    """The codes of ISO 4217, those used most before the others, so that they are the nearest of equally near ones."""
    from iso4217 import Currency  # noqa: PLC0415  90 ms of start-up time, and few processes read amounts

    common = ("EUR", "USD", "GBP", "JPY", "CHF", "CNY", "SEK", "PLN")
    return dict.fromkeys((*common, *(one.value for one in Currency)))
