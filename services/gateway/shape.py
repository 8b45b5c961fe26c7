"""Shape: what a request looks like without what it says: the names of its fields, the types of their values."""

import re
from typing import Any

MOST_LINES = 60
MOST_NAME = 60
MOST_REASON = 300
_plain_name = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.:-]{0,59}", re.ASCII).fullmatch
_quoted = re.compile(r"(?<!\w)'[^']{0,300}'(?!\w)|(?<!\w)\"[^\"]{0,300}\"(?!\w)")
_address = re.compile(r"[^\s@'\"]{1,100}@[^\s@'\"]{1,100}")
_digits = re.compile(r"\d{4,}").search
_number = re.compile(r"\d{7,}")
_long_word = re.compile(r"[A-Za-z0-9+/_=-]{24,}")


def shape_of(value: Any) -> tuple[str, ...]:
    """One line for each field of a JSON value, such as `properties.price: number`; at most `MOST_LINES`.

    A name that could itself say something of a person, such as an address, is shown as `(name)`.
    """
    lines: list[str] = []
    _describe(value, "", lines)
    return tuple(lines[:MOST_LINES])


def _describe(value: Any, at: str, lines: list[str], depth: int = 0) -> None:
    if len(lines) >= MOST_LINES or depth > 8:
        return
    match value:
        case dict() if value:
            for name, inner in list(value.items())[:MOST_LINES]:
                shown = name if _plain_name(str(name)) and not _digits(str(name)) else "(name)"
                _describe(inner, f"{at}.{shown}" if at else shown, lines, depth + 1)
        case list() if value:
            _describe(value[0], f"{at}[{len(value)}]", lines, depth + 1)
        case _:
            lines.append(f"{at or 'body'}: {_type(value)}")


def _type(value: Any) -> str:  # noqa: PLR0911  one per type
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int():
            return "whole number"
        case float():
            return "number"
        case str():
            return f"text of {len(value)}" if value else "empty text"
        case dict():
            return "empty object"
        case list():
            return "empty list"
        case _:
            return type(value).__name__


def name_without_values(name: str) -> str:
    """The name of an event as somebody sent it, where it can be shown: without addresses and long numbers."""
    return _masked(_printable(name)[:MOST_NAME])


def reason_without_values(reason: str) -> str:
    """Why something was refused, without the values that were sent: what stands in quotes came from the sender."""
    return _masked(_quoted.sub("(what was sent)", _printable(reason)))[:MOST_REASON]


def _masked(text: str) -> str:
    return _long_word.sub("(...)", _number.sub("(number)", _address.sub("(address)", text)))


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text.encode("utf-8", "replace").decode())
