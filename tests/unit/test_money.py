"""Money is added within one currency, and written with as many decimals as ISO 4217 gives the currency."""

from decimal import Decimal

import pytest

from mesh.money import Money, minor_digits

NONE = [
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "ISK",
    "JPY",
    "KMF",
    "KRW",
    "PYG",
    "RWF",
    "UGX",
    "UYI",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
]
THREE = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]
FOUR = ["CLF", "UYW"]


def euros(amount):
    return Money(amount=amount, currency="EUR")


@pytest.mark.parametrize(
    ("currencies", "digits"), [(NONE, 0), (THREE, 3), (FOUR, 4), (["EUR", "USD", "GBP", "HUF", "TWD", "MGA", "MRU"], 2)]
)
def test_every_currency_has_its_own_decimals(currencies, digits):
    """The exponents are those of ISO 4217."""
    assert {currency: minor_digits(currency) for currency in currencies} == dict.fromkeys(currencies, digits)


@pytest.mark.parametrize("currency", ["BGN", "XAU", "???"])
def test_what_iso_does_not_list_stays_readable(currency):
    """An amount of a withdrawn currency, or of none, is written with two decimals."""
    assert Money(amount=1299, currency=currency).decimal() == Decimal("12.99")


def test_amounts_are_written_in_major_units():
    """Yen have none smaller, dinars have a thousand."""
    written = [Money(amount=1299, currency=currency).decimal() for currency in ("EUR", "JPY", "KWD")]

    assert written == [Decimal("12.99"), Decimal(1299), Decimal("1.299")]


def test_a_sum_is_of_one_currency():
    """Nothing is added across currencies or left out; nothing at all has no currency."""
    assert Money.sum([euros(1), euros(2)]) == euros(3)
    assert Money.sum([]) is None
    with pytest.raises(ValueError, match="cannot add USD to EUR"):
        Money.sum([euros(1), Money(amount=2, currency="USD")])


def test_who_meets_several_currencies_keeps_them_apart():
    """A total for each."""
    dollars = Money(amount=5, currency="USD")

    assert Money.by_currency([euros(1), dollars, euros(2)]) == {"EUR": euros(3), "USD": dollars}
