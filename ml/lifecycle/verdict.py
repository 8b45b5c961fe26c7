"""What the gate and the measurement of drift come to: plain values, without what is needed to reach them."""

import msgspec

from mesh.events.model import Shift


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a version may pass the gate, and why."""

    accepted: bool
    reason: str


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured over `carts` newest carts: features by how far they moved, and the calibration of the scores.

    `largest` is the largest stability index, `shifts` the features above the threshold, farthest first;
    `outcomes` is how many carts' outcomes are known, `calibration_error` None with too few. `drifted` says
    whether somebody should look; `description` is what was found.
    """

    drifted: bool
    description: str
    carts: int
    largest: float = 0.0
    shifts: tuple[Shift, ...] = ()
    outcomes: int = 0
    calibration_error: float | None = None
