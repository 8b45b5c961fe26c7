"""What the models think of a shopper right now."""

import msgspec

from mesh.event import Event, event


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason behind a score, in words, with its weight in log-odds (positive: more likely)."""

    words: str
    weight: float


@event(key="visitor_id")
class UserScored(Event):
    """A shopper's propensity to buy was computed from what they have done so far.

    `propensity` is a probability in 0..1; `cause` is the id of the newest event it has seen.
    `model_version` is `base-rate` while no model is registered.
    """

    visitor_id: str
    propensity: float
    model_version: str
    reasons: tuple[Reason, ...]
    recommended: tuple[str, ...]
    cause: str
