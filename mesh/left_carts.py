"""Left carts: for how long nothing happens to a cart until it counts as left."""

from datetime import timedelta

import msgspec


class LeftCartSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`abandon_after` is how long a cart is left alone until it counts as abandoned.

    It is read where carts come in, and travels with each cart's timer; the studio reads it to say when mails go.
    """

    abandon_after: timedelta = timedelta(minutes=30)
