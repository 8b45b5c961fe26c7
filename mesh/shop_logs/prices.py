"""Prices: numbers as people write them, with a currency's sign, spaces and either decimal sign."""

import polars as pl

from mesh.shop_logs.delimited import LINE
from mesh.shop_logs.source import Source
from mesh.shop_logs.style import DecimalSign, Style, UnreadableLog

_COMMA = r",\d{1,2}$|,\d{4,}$|\.\d{3},|\.\d{3}\.\d{3}"
_POINT = r"\.\d{1,2}$|\.\d{4,}$|,\d{3}\.|,\d{3},\d{3}"
_EITHER = r"^-?\d{1,3},\d{3}$"


def digits(text: pl.Expr) -> pl.Expr:
    """A price without the sign or code of its currency and without spaces; null for what has no number."""
    return text.str.replace_all(r"[\s'\u{a0}\u{202f}]", "").str.extract(r"^(?:[^\d.,-]*)(-?[\d.,]*\d)(?:[^\d.,-]*)$")


def sign_of(found: Source, column: str, style: Style) -> DecimalSign:
    """The decimal sign of a log's prices: as `style` says, else as the file decides."""
    if style.decimal:
        return style.decimal
    price = pl.col("price")
    decided = (
        found.frame.select(LINE, price=digits(pl.col(column)))
        .select(
            comma=pl.col(LINE).filter(price.str.contains(_COMMA)).first(),
            point=pl.col(LINE).filter(price.str.contains(_POINT)).first(),
            either=pl.col(LINE).filter(price.str.contains(_EITHER)).first(),
            text=price.filter(price.str.contains(_EITHER)).first(),
        )
        .collect()
    )
    comma, point, either, text = decided.row(0)
    ways = "--decimal comma or --decimal point"
    if comma is not None and point is not None:
        raise UnreadableLog(
            f"{found.path}: the price of {found.at(comma)} has a decimal comma, that of {found.at(point)} a"
            f" point; say {ways}"
        )
    if either is not None and comma is None and point is None:
        raise UnreadableLog(
            f"{found.path}, {found.at(either)}: the comma in {text!r} can mean thousands or decimals; say {ways}"
        )
    return "comma" if comma is not None else "point"


def parsed(text: pl.Expr, sign: DecimalSign) -> pl.Expr:
    """Prices as plain decimal numbers in text; null for what is no price."""
    decimal, thousands = (",", ".") if sign == "comma" else (".", ",")
    number = digits(text).str.replace_all(thousands, "", literal=True).str.replace(decimal, ".", literal=True)
    return pl.when(number.str.contains(r"^-?\d*(?:\.\d+)?$")).then(number)
