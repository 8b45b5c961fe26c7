"""The settings of the stock service."""

from datetime import timedelta

import msgspec


class StockSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When a SKU counts as low, and how long a short request waits for another region's units.

    `stock_low_at`: as many units or fewer that can still be sold. A request waits at most `stock_loan_patience`, and is
    decided again every `stock_loan_pause`.
    """

    stock_low_at: int = 5
    stock_loan_patience: timedelta = timedelta(seconds=3)
    stock_loan_pause: timedelta = timedelta(milliseconds=250)
