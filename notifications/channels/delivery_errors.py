"""Delivery errors: a message that was not accepted for certain, and what may be told of the reason."""

import re

from mesh.masking import without_addresses

LONGEST = 300
_anywhere = re.compile(r"[^\s@<>]+@[^\s@<>]+")


class Undelivered(Exception):
    """The other side did not take the message, for certain. `again`: it may later."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class Unknown(Exception):
    """The connection was lost after the message was handed over and before the answer."""


def reason_of(text: str) -> str:
    """An answer without the addresses and numbers in it: reasons travel farther than personal data may."""
    return without_addresses(_anywhere.sub("[address]", " ".join(text.split())))[:LONGEST]
