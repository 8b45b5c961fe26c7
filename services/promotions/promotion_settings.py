"""The settings of the promotions service."""

from datetime import timedelta

import msgspec


class PromotionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long codes are reserved and valid, and how requests for codes are answered.

    `code_reserved_for`: a reservation that names no end. `code_patience`: how long a code's home in another region is
    waited for. `code_refusal_after`: every refusal takes this long, whatever the reason. `code_guesses`: so many bad
    codes of one client are answered in `code_guess_window`, then 429.
    `code_kept_for_order`: how long an order's checkout may take, at most, from one end of a cut to the other.
    `code_lasts`: how long a code that an offer brings can be redeemed.
    """

    code_reserved_for: timedelta = timedelta(minutes=30)
    code_patience: timedelta = timedelta(seconds=2)
    code_refusal_after: timedelta = timedelta(milliseconds=150)
    code_guesses: int = 10
    code_guess_window: timedelta = timedelta(minutes=10)
    code_stale_after: timedelta = timedelta(seconds=5)
    code_kept_for_order: timedelta = timedelta(days=7)
    code_lasts: timedelta = timedelta(days=14)
