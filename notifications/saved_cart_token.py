"""Saved-cart token: what the cart link of a mail carries, so that its cart can be read on any device. Sealed.

Whoever has the mail has the cart: the token shows neither a name nor an address, and opens nothing but the cart. It has
no expiry, as what it opens is the cart as it is now.
"""

import msgspec

from mesh.web import sealed_token

PURPOSE = "saved cart"
PARAMETER = "saved"
"""The query parameter of the cart link in a mail."""


class SavedCartLink(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a link stands for: the cart that this offer was for, in the region that decided about it."""

    region: str
    cart_id: str
    offer_id: str


def seal(link: SavedCartLink, secret: str) -> str:
    """The token of a link."""
    return sealed_token.seal(link, purpose=PURPOSE, secret=secret)


def unseal(token: str, *secrets: str | None) -> SavedCartLink | None:
    """What a token of ours means, sealed with any of the secrets; None for anything else."""
    return sealed_token.unseal(token, SavedCartLink, purpose=PURPOSE, secrets=secrets)
