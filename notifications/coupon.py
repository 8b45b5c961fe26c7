"""Coupons: a code per offer that can be read out on the telephone, and that nobody can guess."""

import hmac
from hashlib import sha256

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""31 signs, a prime, without 0 O 1 I L: the check sign then finds any one wrong and any two swapped signs."""

SIGNS = 11


def code(offer_id: str, secret: str, prefix: str = "") -> str:
    """The offer's code: 11 signs of HMAC-SHA256 (54 bits) and a check sign, in groups of four.

    The same offer always has the same code, so a retry changes nothing.
    """
    number = int.from_bytes(hmac.digest(secret.encode(), f"coupon\x1f{offer_id}".encode(), sha256))
    signs = ""
    for _ in range(SIGNS):
        number, sign = divmod(number, len(ALPHABET))
        signs += ALPHABET[sign]
    signs += ALPHABET[_check(signs)]
    groups = [signs[at : at + 4] for at in range(0, len(signs), 4)]
    return "-".join([prefix, *groups] if prefix else groups)


def is_well_formed(text: str) -> bool:
    """Whether the check sign fits: a typing mistake is found before any look-up."""
    signs = "".join(text.upper().split("-")[-3:])
    if len(signs) != SIGNS + 1 or any(sign not in ALPHABET for sign in signs):
        return False
    return ALPHABET[_check(signs[:-1])] == signs[-1]


def _check(signs: str) -> int:
    return sum(at * ALPHABET.index(sign) for at, sign in enumerate(signs, 2)) % len(ALPHABET)
