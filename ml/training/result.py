"""What training is asked for, what it is judged against and what comes of it: plain values, light to import."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from ml.lifecycle.version import Metrics, Version

BOUGHT = "ended in a purchase"


class TrainingResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of training: whether it may be tried or promoted, and why.

    `against` is the version it was judged against, `running` what that was measured at on the same rows.
    `rows` were learnt from, of which `bought` had the `outcome`, a purchase where nothing else is said. Without enough
    to learn from, or nothing new, `version` and `artifact` are None.
    """

    accepted: bool
    reason: str
    rows: int
    bought: int
    outcome: str = BOUGHT
    against: str | None = None
    version: Version | None = None
    artifact: bytes | None = None
    running: Metrics | None = None


@dataclass(frozen=True, kw_only=True)
class ServingVersion:
    """The version that serves, as the registry holds it; `artifact` is None where the file is gone."""

    version: Version
    artifact: bytes | None


class TrainingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants a model, when, and what it shall be called (`called`: derived from time and data when None)."""

    by: str
    at: datetime
    called: str | None = None
    horizon: timedelta | None = None


class FittedModel(Protocol):
    """A model that was fitted, or the reason why none was."""

    def judge(self, running: ServingVersion | None) -> TrainingResult:
        """The verdict of the gate against what serves."""
        ...
