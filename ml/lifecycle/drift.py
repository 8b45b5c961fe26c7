"""Drift: whether a model is still asked what it was trained on, and whether its scores still come true."""

from collections.abc import Sequence

import numpy as np

from mesh.events.model import Shift
from ml.lifecycle.verdict import Drift
from ml.lifecycle.version import Shape
from ml.training.metrics import Floats

BINS = 10
MOVED = 0.2
"""Population stability index above which a feature has moved (Siddiqi, Credit Risk Scorecards, 2006)."""
LEAST_CARTS = 200
"""Carts below which chance alone moves an index by a quarter of that: nothing is reported."""
LEAST_OUTCOMES = 500
DISHONEST = 0.1
"""Calibration error of live scores above which a model has drifted; so far above that chance does not get there."""
_FLOOR = 1e-4


def shapes(rows: Floats, features: Sequence[str]) -> tuple[Shape, ...]:
    """How each column of rows (n, features) is distributed: at most ten bins of equal weight. None without rows."""
    if not len(rows):
        return ()
    found = []
    for at, feature in enumerate(features):
        known = rows[:, at][np.isfinite(rows[:, at])]
        inner = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower") if len(known) else np.zeros(1)
        edges = np.unique(inner)
        found.append(
            Shape(feature=feature, edges=tuple(edges.tolist()), shares=tuple(_shares(rows[:, at], edges).tolist()))
        )
    return tuple(found)


def stability(shape: Shape, values: Floats) -> float:
    """Population stability index of values (n,) against a shape: sum of (q - p) ln(q / p) over its bins."""
    expected = np.maximum(np.array(shape.shares), _FLOOR)
    seen = np.maximum(_shares(values, np.array(shape.edges)), _FLOOR)
    return float(((seen - expected) * np.log(seen / expected)).sum())


def judge(
    known: Sequence[Shape],
    rows: Floats,
    *,
    outcomes: int = 0,
    calibration_error: float | None = None,
    called: str = "carts",
) -> Drift:
    """What the newest carts' (or what else is `called`) features (n, features) and the outcomes of scored ones say."""
    findings: list[str] = []
    moved: tuple[Shift, ...] = ()
    largest = 0.0
    if not known:
        findings.append("how its features were distributed in training was not kept")
    elif len(rows) < LEAST_CARTS:
        findings.append(f"{len(rows):,} {called} in the newest day are too few to compare ({LEAST_CARTS} is the least)")
    else:
        indices = [(stability(shape, rows[:, at]), at) for at, shape in enumerate(known)]
        largest = max(psi for psi, _ in indices)
        moved = tuple(
            Shift(feature=known[at].feature, psi=round(psi, 4), description=_moved(known[at], rows[:, at], psi))
            for psi, at in sorted(indices, reverse=True)
            if psi > MOVED
        )
        findings.append(
            "; ".join(shift.description for shift in moved) or f"no feature moved in {len(rows):,} {called}"
        )
    dishonest = False
    if outcomes < LEAST_OUTCOMES or calibration_error is None:
        calibration_error = None
        findings.append(f"{outcomes:,} outcomes are too few to judge its calibration")
    else:
        dishonest = calibration_error > DISHONEST
        findings.append(
            f"its scores are off by {calibration_error:.1%} on average "
            f"over {outcomes:,} {called} whose outcome is known"
        )
    return Drift(
        drifted=bool(moved) or dishonest,
        description=". ".join(findings),
        carts=len(rows),
        largest=round(largest, 4),
        shifts=moved,
        outcomes=outcomes,
        calibration_error=calibration_error,
    )


def _shares(values: Floats, edges: Floats) -> Floats:
    """Which share of values falls below the first edge, between each two, and from the last on; NaN goes last."""
    places = np.searchsorted(edges, values, side="right")
    return np.bincount(places, minlength=len(edges) + 1) / max(len(values), 1)


def _moved(shape: Shape, values: Floats, psi: float) -> str:
    """Where the largest change is: `views moved (PSI 0.31): 40 % are at least 5, in training 12 %`."""
    edges, now = np.array(shape.edges), _shares(values, np.array(shape.edges))
    above_now, above_then = 1 - np.cumsum(now)[:-1], 1 - np.cumsum(shape.shares)[:-1]
    at = int(np.argmax(np.abs(above_now - above_then)))
    return (
        f"{shape.feature} moved (PSI {psi:.2f}): {above_now[at]:.0%} are at least {edges[at]:.4g}, "
        f"in training {above_then[at]:.0%}"
    )
