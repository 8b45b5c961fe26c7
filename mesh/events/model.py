"""The life of a model: trained, tried beside the one that serves, promoted, drifted."""

from datetime import datetime
from typing import Literal

import msgspec

from mesh.event import Event, event


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """How far a feature's distribution moved since training: its population stability index (0: not at all)."""

    feature: str
    psi: float
    description: str


@event(key="model")
class ModelReviewDue(Event):
    """A model is to be looked at: train it again, judge its candidate, measure its drift. `due` names the review."""

    model: str
    due: datetime


@event(key="model")
class ModelTrained(Event):
    """A version was trained and stored. `accepted`: it passed the gate; `reason` is the gate's verdict."""

    model: str
    version: str
    accepted: bool
    reason: str
    trained_by: str


@event(key="model")
class ModelStaged(Event):
    """A version is tried beside the one that serves, or no longer.

    In `shadow` it scores every cart without effect; in `canary` it serves a `share` (0..1) of them;
    `withdrawn`: it is not tried any more. `revision` is the registry entry's that says so.
    """

    model: str
    version: str
    stage: Literal["shadow", "canary", "withdrawn"]
    share: float
    reason: str
    revision: int = 0


@event(key="model")
class ModelPromoted(Event):
    """A model version became the one that serves. `reason` says why; `replaced` is what served before.

    `forced`: an operator wanted it against the verdict of the gate. `revision` is that of the registry entry.
    """

    model: str
    version: str
    reason: str
    replaced: str | None = None
    forced: bool = False
    revision: int = 0


@event(key="model")
class ModelRefused(Event):
    """A version was to serve and cannot: `reason` says why. `serving` is what goes on serving."""

    model: str
    version: str
    reason: str
    serving: str


@event(key="cart_id")
class ModelShadowed(Event):
    """An abandoned cart was scored by the model that serves and by its candidate, for comparison.

    Probabilities in 0..1 that the shopper buys; `served_version` is the one whose score `CartScored` carries.
    """

    cart_id: str
    abandonment_id: str
    visitor_id: str
    model: str
    champion: str
    champion_probability: float
    candidate: str
    candidate_probability: float
    served_version: str


@event(key="model")
class ModelDrifted(Event):
    """What a model is asked, or what becomes of it, is no longer what it was trained on; `description` says how.

    `shifts` are the features that moved most (PSI above 0.2); `calibration_error` is that of live scores, where known.
    """

    model: str
    version: str
    description: str
    shifts: tuple[Shift, ...]
    carts: int
    calibration_error: float | None = None
