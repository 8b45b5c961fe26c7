"""Text: what may stand in a text from outside. It is tidied, or refused where it holds what no text may hold."""

import re
from typing import Any

from mesh.errors import InvalidField

_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
"""Code points that Unicode never assigns; documents and mails with one of them are invalid."""
_odd = re.compile(rf"^\s|\s\Z|[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_NONCHARACTERS}]").search
_breaks = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]+").sub
_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_halves = re.compile(r"[\ud800-\udfff]").search


def cleaned_text(given: str, at: str) -> str:
    """The text without space around it, each tab and line break a space.

    Raises InvalidField for other control characters, noncharacters and halves of surrogate pairs, such as a cut emoji.
    """
    if not _odd(given):
        return given
    text = _breaks(" ", given).strip()
    if not _odd(text):
        return text
    if _control(text):
        raise InvalidField(at, "no control characters")
    if _halves(text):
        raise InvalidField(at, "half of a surrogate pair, as a text that was cut inside an emoji; see toWellFormed()")
    raise InvalidField(at, "no noncharacters such as U+FFFF")


def cleaned_texts(value: Any, at: str = "$") -> Any:
    """What JSON was decoded to, with every text in it tidied. Raises InvalidField as `cleaned_text` does."""
    match value:
        case str():
            return cleaned_text(value, at)
        case list():
            return [cleaned_texts(one, f"{at}[{place}]") for place, one in enumerate(value)]
        case dict():
            return {name: cleaned_texts(one, f"{at}.{name}") for name, one in value.items()}
        case _:
            return value
