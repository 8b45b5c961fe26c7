"""Amounts as people write them, `1.299,00` or `1,299.00`, by the one decimal sign that the mapping names."""

import re
from functools import lru_cache

from mesh.errors import InvalidField
from services.connect.amounts import minor_units

_comma = re.compile(r"-?(?:\d{1,3}(?:[.' ]\d{3})+|\d+)(?:,\d+)?").fullmatch
_point = re.compile(r"-?(?:\d{1,3}(?:[,' ]\d{3})+|\d+)(?:\.\d+)?").fullmatch


@lru_cache(maxsize=50_000)
def minor_amount(text: str, decimal: str, currency: str) -> int:
    """The minor units of an amount. Raises InvalidField for one that is not written so: a sign in front is none."""
    usual = text.replace("\u00a0", " ").replace("\u202f", " ").strip()
    if not (_comma if decimal == "comma" else _point)(usual):
        raise InvalidField("", f"{text[:40]!r} is no amount with a decimal {decimal}")
    plain = usual.replace("'", "").replace(" ", "")
    plain = plain.replace(".", "").replace(",", ".") if decimal == "comma" else plain.replace(",", "")
    return int(minor_units(plain, currency, "")["amount"])
