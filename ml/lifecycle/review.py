"""A review of the model that serves and of its candidate, on the live carts in the log."""

from datetime import datetime

import msgspec

from mesh import Mesh
from ml.lifecycle.live_outcomes import Comparison, compare, live_calibration
from ml.lifecycle.live_outcomes import read as read_log
from ml.lifecycle.registry import Registry
from ml.lifecycle.verdict import Drift, Verdict
from ml.lifecycle.version import Version

BASE_RATE, UPLIFT, FRAUD = "base-rate", "uplift", "fraud"
LEAST_LIVE = 200
"""Live carts with an outcome below which an operator's promotion goes by the verdict of the training."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement of drift: of which version, when, and what was found."""

    version: str
    at: datetime
    drift: Drift


async def compared(mesh: Mesh, name: str) -> Comparison | None:
    """The running model and its candidate on the same live carts; None where nothing is tried."""
    models = Registry(mesh)
    current = await models.current(name)
    if current is None or current.candidate is None:
        return None
    version = await models.version(name, current.candidate.version)
    return compare(
        await read_log(mesh),
        model=name,
        champion=current.version or BASE_RATE,
        candidate=version.version,
        stage=current.candidate.stage,
        horizon=version.horizon_seconds,
    )


async def judged(mesh: Mesh, name: str, *, least: int) -> Verdict | None:
    """The verdict of the gate on a candidate's live outcomes; None where fewer than `least` are known."""
    from ml.lifecycle.gate import against_running  # noqa: PLC0415  numpy

    found = await compared(mesh, name)
    if found is None:
        return None
    # An adviser speaks of carts without an offer; how likely a cart is bought with one depends on the offer.
    alone = name == UPLIFT
    candidate = found.candidate_unaided if alone else found.candidate_metrics
    champion = found.champion_unaided if alone else found.champion_metrics
    if candidate is None or champion is None or candidate.rows < least:
        return None
    return against_running(candidate, champion, called=f"the running {found.champion}")


async def passes(mesh: Mesh, name: str, version: str) -> Verdict:
    """Whether a version may serve: by its live outcomes where enough are known, else by its verdict when trained.

    NoSuchVersion for one that is not registered.
    """
    stored = await Registry(mesh).version(name, version)
    found = await compared(mesh, name)
    if found is not None and found.candidate == version:
        verdict = await judged(mesh, name, least=LEAST_LIVE)
        if verdict is not None:
            return Verdict(accepted=verdict.accepted, reason=f"on live carts {verdict.reason}")
    return Verdict(accepted=stored.accepted, reason=stored.gate or "its gate's verdict was not kept")


async def drifted(mesh: Mesh, name: str, *, at: datetime) -> Measured | None:
    """How far the newest day's carts and outcomes are from what the running model was trained on.

    The newest day ends with the newest scored cart; for the model of fraud, with the newest judged order. None where no
    model serves, or none that is known.
    """
    import numpy as np  # noqa: PLC0415  saves start-up time

    from ml.features import digest  # noqa: PLC0415  saves start-up time
    from ml.lifecycle.drift import judge  # noqa: PLC0415  saves start-up time

    version = await Registry(mesh).serving(name)
    if version is None:
        return None
    if name == FRAUD:
        from ml.training.fraud import newest_features  # noqa: PLC0415  saves start-up time

        orders = await newest_features(mesh, version.features)
        return Measured(version=version.version, at=at, drift=judge(version.shapes, orders, called="orders"))
    log = await read_log(mesh)
    width = len(version.features)
    rows = [proof.values for _, proof in log.proofs if proof.features_digest == digest() and len(proof.values) == width]
    known = _shapes_now(version)
    calibration = live_calibration(log, version=version.version, horizon=version.horizon_seconds)
    found = judge(
        known if rows else version.shapes,
        np.array(rows).reshape(len(rows), width),
        outcomes=calibration.rows if calibration else 0,
        calibration_error=calibration.ece if calibration else None,
    )
    return Measured(version=version.version, at=at, drift=found)


def _shapes_now(version: Version) -> tuple:
    """Shapes only mean something for the features that are served now."""
    from ml.features import names  # noqa: PLC0415  saves start-up time

    return version.shapes if version.features == names() else ()
