"""Fraud: rows from what was known when each order was judged, labels from reviews and chargebacks, and the fit.

Features are those that the decision recorded, so nothing that happened later can be in them. An order that was
cleared and confirmed and of which nobody has complained for `MATURE` counts as legitimate; one that was flagged and
never decided, or is younger, teaches nothing.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_kind
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from msgspec.structs import replace

from mesh import Mesh
from mesh.events.fraud import FraudCleared, FraudLabelled
from mesh.events.order import OrderConfirmed
from mesh.events.payment import PaymentFlagged
from mesh.lake.reading import read_history
from ml.lifecycle.drift import shapes
from ml.lifecycle.version import Version
from ml.models.fraud import KIND
from ml.models.propensity import PropensityClassifier
from ml.training.metrics import Floats, measure
from ml.training.propensity import CALIBRATE, FIT, FittedPropensity, Nothing
from ml.training.result import TrainingRequest

MATURE = timedelta(days=45)
"""After how long without a chargeback a cleared order is taken as legitimate, where `--horizon` says nothing else."""
LEAST_ROWS, LEAST_OF_EACH, LEAST_TO_JUDGE = 200, 20, 5
"""Labelled orders, of the rarer label among those that are fitted, and among those that judge."""
MOST_DECISIONS = 300_000
"""Decisions of a region that are held at once: the newest."""
OUTCOME = "were fraud"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was judged first: when, by what; whether it was flagged and confirmed, and its newest label."""

    order_id: str
    at: datetime
    features: dict[str, float]
    flagged: bool
    confirmed: bool = False
    label: str | None = None


@dataclass(frozen=True)
class Decisions:
    """The judged orders of all regions in the order of their decisions, and until when the logs reach."""

    judged: tuple[Decision, ...]
    until: datetime | None


async def training_rows(meshes: Sequence[Mesh]) -> Decisions:
    """Every order that was judged, with what became of it."""
    judged: list[Decision] = []
    until: datetime | None = None
    for mesh in meshes:
        found, end = await _of_region(mesh)
        judged += found
        until = max(filter(None, (until, end)), default=None)
    return Decisions(tuple(sorted(judged, key=lambda one: (one.at, one.order_id))), until)


async def _of_region(mesh: Mesh) -> tuple[list[Decision], datetime | None]:
    judged: dict[str, Decision] = {}
    labels: dict[str, str] = {}
    confirmed: set[str] = set()
    end: datetime | None = None
    async for received in read_history(mesh, FraudCleared, PaymentFlagged, FraudLabelled, OrderConfirmed):
        happened, end = received.event, max(end or received.time, received.time)
        if isinstance(happened, FraudLabelled):
            labels[happened.order_id] = happened.label
        elif isinstance(happened, OrderConfirmed):
            confirmed.add(happened.order_id)
        elif happened.features and happened.order_id not in judged:
            judged[happened.order_id] = Decision(
                order_id=happened.order_id,
                at=received.time,
                features=happened.features,
                flagged=isinstance(happened, PaymentFlagged),
            )
            if len(judged) > MOST_DECISIONS:
                del judged[next(iter(judged))]
    known = [
        replace(one, confirmed=one.order_id in confirmed, label=labels.get(one.order_id)) for one in judged.values()
    ]
    return known, end


async def newest_features(mesh: Mesh, features: tuple[str, ...]) -> Floats:
    """The features (n, features) of a region's orders of the last day, which ends with the newest one."""
    judged, _ = await _of_region(mesh)
    end = max((one.at for one in judged), default=None)
    return _inputs([one for one in judged if end and one.at > end - timedelta(days=1)], features)


def fit(decisions: Decisions, order: TrainingRequest) -> FittedPropensity | Nothing:
    """A model from judged orders. Never raises for a log that is too small or too plain."""
    rows, labels = labelled(decisions, order.horizon or MATURE)
    frauds = int(labels.sum())
    first, second = int(len(rows) * FIT), int(len(rows) * (FIT + CALIBRATE))
    if lacking := _lacking(labels, first, second):
        return Nothing(reason=f"nothing learnt: {lacking}", rows=len(rows), bought=frauds)
    features = tuple(sorted({name for one in rows for name in one.features}))
    inputs = _inputs(rows, features)
    classifier = PropensityClassifier().fit(
        inputs[:first], labels[:first], newest=(inputs[first:second], labels[first:second])
    )
    model = with_kind(classifier.served(features), kind=KIND)
    new, known = inputs[second:], labels[second:]
    metrics = measure(known, model.score(new))
    rate = float((labels[:first].sum() + 0.5) / (first + 1))
    version = _version(rows, inputs, labels, features, order)
    return FittedPropensity(
        model=model,
        version=replace(version, metrics=metrics, base_rates=(rate, rate), shapes=shapes(inputs, features)),
        metrics=metrics,
        inputs=new,
        labels=known,
        guesses=np.full(len(known), rate),
        bought=frauds,
        outcome=OUTCOME,
    )


def labelled(decisions: Decisions, mature: timedelta) -> tuple[list[Decision], Floats]:
    """The orders of which it is known what they were, in their order, and 1 for each that was fraud."""
    if decisions.until is None:
        return [], np.zeros(0)
    border = decisions.until - mature
    rows = [one for one in decisions.judged if one.label or (one.confirmed and not one.flagged and one.at <= border)]
    return rows, np.array([one.label == "fraud" for one in rows], dtype=np.float64)


def _lacking(labels: Floats, first: int, second: int) -> str | None:
    """What the log has too little of, or None."""
    if len(labels) < LEAST_ROWS:
        return f"of {len(labels):,} judged orders it is known what they were; {LEAST_ROWS} is the least"
    for part, called, least in ((labels[:first], "older", LEAST_OF_EACH), (labels[second:], "newest", LEAST_TO_JUDGE)):
        frauds = int(part.sum())
        if min(frauds, len(part) - frauds) < least:
            return (
                f"of the {len(part):,} {called} orders {frauds:,} were fraud; at least {least} must be and {least} not"
            )
    return None


def _inputs(rows: Iterable[Decision], features: tuple[str, ...]) -> Floats:
    """Rows (n, features), NaN for what was not known."""
    known = [[one.features.get(name, np.nan) for name in features] for one in rows]
    return np.array(known, dtype=np.float64).reshape(len(known), len(features))


def _version(
    rows: Sequence[Decision], inputs: Floats, labels: Floats, features: tuple[str, ...], order: TrainingRequest
) -> Version:
    import sklearn  # noqa: PLC0415  its version only

    data = hashlib.sha256(inputs.tobytes() + labels.tobytes()).hexdigest()[:16]
    return Version(
        name=KIND,
        version=order.called or f"{order.at:%Y%m%d-%H%M%S}-{data[:6]}",
        trained_at=order.at,
        trained_by=order.by,
        window=(rows[0].at.astimezone(UTC), rows[-1].at.astimezone(UTC)),
        horizon_seconds=(order.horizon or MATURE).total_seconds(),
        rows=len(rows),
        data_hash=data,
        features=features,
        sklearn=sklearn.__version__,
    )
