"""What is known of a version of a model, and which one serves."""

from datetime import datetime

import msgspec


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Measured on `rows` rows of which a share of `base_rate` bought; `auc`, `pr_auc` are None with one label only."""

    rows: int
    base_rate: float
    auc: float | None
    pr_auc: float | None
    brier: float
    ece: float


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model: what it was learnt from and how good it was.

    `window` is the time of its first and last row; `horizon_seconds` how far a label looks ahead;
    `base_rates` the share of rows that ended in a purchase (without a cart, with one); `carts` the
    metrics where something was in the cart.
    """

    name: str
    version: str
    trained_at: datetime
    window: tuple[datetime, datetime]
    horizon_seconds: float
    rows: int
    data_hash: str
    features: tuple[str, ...]
    metrics: Metrics
    carts: Metrics | None
    base_rates: tuple[float, float]
    sklearn: str


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """The version of a model that serves, and why."""

    version: str
    reason: str
    promoted_at: datetime
