"""Texts: values of a journey that are written as a text of several parts, such as `20 EUR` or `once per 7d`."""

import re
from datetime import time, timedelta

from mesh.errors import DeclarationError
from mesh.money import Money, minor_digits
from mesh.settings import duration


def quiet_hours(text: str) -> tuple[time, time] | None:
    """`22:00-08:00` as two local times; None when empty. DeclarationError otherwise."""
    if not text:
        return None
    found = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", text)
    try:
        if found:
            return time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    except ValueError:
        pass
    raise DeclarationError(f"quiet = {text!r}: write it like 22:00-08:00, or leave it empty")


def reentry_period(text: str) -> timedelta | None:
    """`once per 7d` as a length of time; None for `always`. DeclarationError otherwise."""
    if text == "always":
        return None
    found = re.fullmatch(r"once per (\S+)", text)
    try:
        if found and (period := duration(found[1])):
            return period
    except (ValueError, OverflowError):
        pass
    raise DeclarationError(f"reentry = {text!r}: write always, or a time such as once per 7d")


def amounts(texts: tuple[str, ...]) -> dict[str, Money]:
    """`20 EUR` each, by currency; DeclarationError for anything else."""
    found = {}
    for text in texts:
        parts = re.fullmatch(r"(\d+(?:\.\d+)?) ([A-Z]{3})", text)
        if not parts:
            raise DeclarationError(f"amount {text!r}: write it like 20 EUR")
        minor = round(float(parts[1]) * 10 ** minor_digits(parts[2]))
        found[parts[2]] = Money(amount=minor, currency=parts[2])
    return found
