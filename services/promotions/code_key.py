"""Code key: a code as a shopper may type it, and the digest under which it is kept."""

import unicodedata
from hashlib import blake2b

LONGEST = 64
"""The most signs of a code."""


def normalised(code: str) -> str:
    """A code without case, blanks and dashes: what a shopper types may differ from what is printed in these."""
    text = unicodedata.normalize("NFKC", code[: 4 * LONGEST]).upper()
    return "".join(sign for sign in text if not sign.isspace() and unicodedata.category(sign) != "Pd")


def code_id(code: str) -> str:
    """The key of a code's events, a token. Of whatever text, so that a malformed one is looked up as any other."""
    return blake2b(normalised(code).encode("utf-8", "replace"), digest_size=16).hexdigest()
