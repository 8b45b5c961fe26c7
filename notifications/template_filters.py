"""Wording: money, dates, plurals and product names as a locale writes them."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency, format_percent

from mesh.money import minor_digits


def locale_of(wanted: str | None, fallback: str) -> Locale:
    """The shopper's locale where it speaks the template's language (de-AT for de), else the template's."""
    try:
        found = Locale.parse((wanted or fallback).replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return Locale.parse(fallback)
    return found if found.language == Locale.parse(fallback).language else Locale.parse(fallback)


@lru_cache(maxsize=256)
def wording(locale: str, time_zone: str | None) -> dict[str, Callable[..., Any]]:
    """The same filters as Jinja has to be given them."""
    return {name: _late(made) for name, made in filters(Locale.parse(locale), time_zone).items()}


def filters(locale: Locale, time_zone: str | None) -> dict[str, Callable[..., Any]]:
    """What templates may write behind a `|`: money, day, percent, label, initial; and plural."""

    def money(amount: dict[str, Any]) -> str:
        """`{"amount": 1299, "currency": "EUR"}` as €12.99."""
        return _money(amount["amount"], amount["currency"], locale)

    def day(moment: str) -> str:
        """An RFC 3339 moment as a date where the shopper lives."""
        at = datetime.fromisoformat(moment)
        return format_date(at.astimezone(_zone(time_zone)), format="long", locale=locale)

    def percent(whole: int) -> str:
        """10 as 10 %."""
        return _percent(whole, locale)

    def plural(count: int, **forms: str) -> str:
        """What fits a number, by the forms of CLDR; # becomes the number."""
        form = locale.plural_form(count)
        return forms.get(form, forms.get("other", "#")).replace("#", str(count))

    return {"money": money, "day": day, "percent": percent, "plural": plural, "label": label, "initial": initial}


def _late(made: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that is applied as a mail is rendered: Jinja applies others to constants once, in the first locale."""

    @jinja2.pass_context
    def applied(_: object, *values: Any, **named: Any) -> Any:
        return made(*values, **named)

    return applied


def label(line: dict[str, Any]) -> str:
    """A product's name; without one its brand and kind; without those its number."""
    if line.get("name"):
        return str(line["name"])
    kind = str(line.get("category") or "").rpartition(".")[2].replace("_", " ")
    parts = [str(line.get("brand") or "").title(), kind]
    return " ".join(part for part in parts if part) or f"#{line.get('product_id', '')}"


def initial(line: dict[str, Any]) -> str:
    """The sign in the tile of a product that has no picture."""
    return next((sign.upper() for sign in label(line) if sign.isalnum()), "·")


def web(url: str | None) -> str | None:
    """The address if it is of the web; None for anything that could be code (javascript:, data:)."""
    return url if url and url.startswith(("https://", "http://")) else None


@lru_cache(maxsize=4096)
def _money(amount: int, currency: str, locale: Locale) -> str:
    return format_currency(Decimal(amount).scaleb(-minor_digits(currency)), currency, locale=locale)


@lru_cache(maxsize=512)
def _percent(whole: int, locale: Locale) -> str:
    return format_percent(whole / 100, locale=locale)


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
