"""Masking: takes addresses and numbers out of errors and logs, which travel farther than personal data may."""

import re

_address = re.compile(r"[^\s@<>\"'\\]{1,64}@[^\s@<>\"'\\]{1,255}")
_number = re.compile(r"(?:\+|%2B)[1-9]\d{6,14}(?!\d)", re.IGNORECASE)
"""A telephone number in the form of E.164, in a URL too."""


def without_addresses(text: str) -> str:
    """A text without the e-mail addresses and telephone numbers in it."""
    plain = _address.sub("[address]", text) if "@" in text else text
    return _number.sub("[number]", plain)
