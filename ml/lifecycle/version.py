"""What is known of a version of a model, which one serves, and which is tried beside it."""

from datetime import datetime
from hashlib import blake2b
from typing import Literal

import msgspec

Stage = Literal["shadow", "canary"]


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Measured on `rows` rows of which a share of `base_rate` bought; `auc`, `pr_auc` are None with one label only."""

    rows: int
    base_rate: float
    auc: float | None
    pr_auc: float | None
    brier: float
    ece: float


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How a feature was distributed in training: `shares` of the k + 1 bins between k rising `edges` (left open)."""

    feature: str
    edges: tuple[float, ...]
    shares: tuple[float, ...]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model: what it was learnt from and how good it was.

    `window` is the time of its first and last row; `horizon_seconds` how far a label looks ahead;
    `base_rates` the share of rows that ended in a purchase (without a cart, with one); `carts` the
    metrics where something was in the cart; `figures` whatever else was measured, by name. `accepted` and
    `gate` are the verdict of the gate; `shapes` the features of the abandoned carts it learnt from.
    """

    name: str
    version: str
    trained_at: datetime
    window: tuple[datetime, datetime]
    horizon_seconds: float
    rows: int
    data_hash: str
    features: tuple[str, ...]
    metrics: Metrics | None = None
    carts: Metrics | None = None
    base_rates: tuple[float, float] = (0.0, 0.0)
    sklearn: str = ""
    figures: dict[str, float] = {}
    accepted: bool = True
    gate: str = ""
    trained_by: str = ""
    shapes: tuple[Shape, ...] = ()


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is tried: in shadow without effect, or as a canary that serves a `share` (0..1) of carts."""

    version: str
    stage: Stage
    share: float
    since: datetime
    reason: str


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """The single truth of one model: which version serves and why, which one did before, which is tried.

    `version` is None while nothing was promoted. `versions` names those that are kept, oldest first.
    """

    version: str | None = None
    reason: str = ""
    promoted_at: datetime | None = None
    previous: str | None = None
    candidate: Candidate | None = None
    versions: tuple[str, ...] = ()

    @property
    def held(self) -> set[str]:
        """Versions that may not be thrown away."""
        tried = self.candidate.version if self.candidate else None
        return {version for version in (self.version, self.previous, tried) if version}


def takes_part(key: str, share: float) -> bool:
    """Whether a cart belongs to the `share` (0..1) that a canary serves: the same answer for a key for ever.

    A cart that belongs to a share belongs to every larger one.
    """
    drawn = int.from_bytes(blake2b(key.encode(), digest_size=8, person=b"canary").digest())
    return drawn < share * 2**64
