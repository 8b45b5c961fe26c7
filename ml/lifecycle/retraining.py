"""Training: the model is looked at every day: trained again, its candidate judged on live outcomes, its drift measured.

What a review does stands in the registry and in the log, nowhere else. A version's name follows from its
review, so a review that is handled again makes the same version; killed anywhere, what serves goes on serving.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
from prometheus_client import Gauge

from mesh import Bucket, Mesh, Received, Service
from mesh.envelope import derive_id
from mesh.errors import Retry
from mesh.events.model import ModelDrifted, ModelPromoted, ModelReviewDue, ModelStaged, ModelTrained
from mesh.fraud_model import FRAUD_MODELS
from mesh.history import Unchanged
from mesh.observability.logs import log
from mesh.publish import Change
from mesh.settings import read
from ml.lifecycle.fraud_documents import FraudDocuments
from ml.lifecycle.registry import CURRENT, MODELS, Registry, Superseded
from ml.lifecycle.review import Measured

DRIFT = Bucket("model-drift", Measured)
PSI = Gauge("cartmesh_model_drift_psi", "Largest population stability index of a model's features.", ["model"])
CALIBRATION_ERROR = Gauge("cartmesh_model_calibration_error", "Calibration error of a model's live scores.", ["model"])

TAKEN_OVER = timedelta(seconds=15)
"""How long after its death another replica takes a review over."""

service = Service(
    "training",
    publishes=(ModelReviewDue, ModelTrained, ModelStaged, ModelPromoted, ModelDrifted),
    buckets=(CURRENT, DRIFT, FRAUD_MODELS),
    object_stores=(MODELS,),
    alone=True,
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which models are reviewed and how often; a shadow keeps its place for `try_for` before another takes it.

    With `auto_promote` a candidate is promoted (or withdrawn) by the gate once `promote_after` of its live carts
    have an outcome; otherwise an operator decides.
    """

    review_every: timedelta = timedelta(days=1)
    review_models: tuple[str, ...] = ("propensity", "uplift", "recommendations", "fraud")
    try_for: timedelta = timedelta(days=7)
    auto_promote: bool = False
    promote_after: int = 500


@service.resource
async def open_plan(mesh: Mesh) -> AsyncIterator[Plan]:
    """The settings; the newest measurements are shown again."""
    plan = read(Plan)
    for model in plan.review_models:
        found = await mesh.state(DRIFT).get(model)
        if found is not None:
            show(model, found)
    yield plan


@service.every(timedelta(seconds=10))
async def call_for_reviews(at: datetime, mesh: Mesh, plan: Plan) -> AsyncIterator[Change]:
    """Call for the reviews that are due: at each multiple of the period, or later if nobody was here then."""
    period = plan.review_every.total_seconds()
    due = datetime.fromtimestamp(at.timestamp() // period * period, UTC)
    for model in plan.review_models:
        newest = await mesh.last(ModelReviewDue, model)
        first = newest is None and at - due < timedelta(seconds=10)
        if first or (newest is not None and newest.event.due < due):
            yield Unchanged(ModelReviewDue, model, newest.sequence if newest else 0)
            yield ModelReviewDue(model=model, due=due)


@service.every(timedelta(minutes=1))
async def announce_changes(at: datetime, mesh: Mesh) -> None:  # noqa: ARG001  what a tick is given
    """Say again what the registry holds, where who changed it died before saying so."""
    models = Registry(mesh)
    for name in await models.names():
        await models.announce(name)


@service.resource
async def open_fraud_documents(mesh: Mesh) -> AsyncIterator[FraudDocuments]:
    """What the fraud check has of its models."""
    yield FraudDocuments(mesh)


@service.every(timedelta(seconds=10))
async def hand_over_fraud_models(at: datetime, documents: FraudDocuments) -> None:  # noqa: ARG001  what a tick is given
    """Give the fraud check the versions of its model that serve and are tried."""
    await documents.hand_over()


@service.on(ModelReviewDue, concurrency=1, ack_wait=TAKEN_OVER, retries=3)
async def train_model(due: Received[ModelReviewDue], mesh: Mesh, plan: Plan) -> None:
    """Learn a model from this region's log and try it in shadow."""
    from ml.lifecycle.admission import place, serving  # noqa: PLC0415  every process imports this module
    from ml.training.process import train_in_child_process  # noqa: PLC0415  saves start-up time
    from ml.training.result import TrainingRequest, TrainingResult  # noqa: PLC0415  saves start-up time

    name, models = due.event.model, Registry(mesh)
    called = f"{due.event.due:%Y%m%d-%H%M%S}-{derive_id(due.id)[:6]}"
    current, _ = await models.entry(name)
    running = await serving(mesh, name)
    if called in current.held.union(current.versions):  # an earlier attempt came this far
        version = await models.version(name, called)
        learnt = TrainingResult(
            accepted=version.accepted,
            reason=version.gate,
            rows=version.rows,
            bought=0,
            against=current.version,
            version=version,
            artifact=await models.artifact(name, called),
        )
    else:
        order = TrainingRequest(by=f"review of {due.event.due:%Y-%m-%d %H:%M}", at=datetime.now(UTC), called=called)
        learnt = await train_in_child_process(mesh, name, order, running)
    try:
        placed = await place(mesh, learnt, name, "shadow", patience=plan.try_for)
    except Superseded as error:
        raise Retry(str(error)) from None
    log.info("review", model=name, accepted=learnt.accepted, reason=learnt.reason, outcome=placed.description)


@service.on(ModelReviewDue, concurrency=1, ack_wait=TAKEN_OVER, retries=3)
async def judge_candidate(due: Received[ModelReviewDue], mesh: Mesh, plan: Plan) -> None:
    """Judge a candidate on live outcomes; where the shop wishes so, promote or withdraw it."""
    from ml.lifecycle.review import judged  # noqa: PLC0415  numpy

    name, models = due.event.model, Registry(mesh)
    current, seen = await models.entry(name)
    verdict = await judged(mesh, name, least=plan.promote_after)
    if current.candidate is None or verdict is None:
        return
    log.info("candidate judged", model=name, version=current.candidate.version, reason=verdict.reason)
    if not plan.auto_promote:
        return
    try:
        if verdict.accepted:
            await models.promote(name, current.candidate.version, f"on live carts {verdict.reason}", seen=seen)
        else:
            await models.withdraw(name, f"on live carts {verdict.reason}", seen=seen)
    except Superseded as error:
        raise Retry(str(error)) from None


@service.on(ModelReviewDue, concurrency=1, ack_wait=TAKEN_OVER, retries=3)
async def measure_drift(due: Received[ModelReviewDue], mesh: Mesh) -> AsyncIterator[Change]:
    """Say where shoppers or outcomes are no longer what the running model was trained on."""
    from ml.lifecycle.review import drifted  # noqa: PLC0415  numpy

    name = due.event.model
    found = await drifted(mesh, name, at=due.event.due)
    if found is None:
        return
    await mesh.state(DRIFT).put(name, found)
    show(name, found)
    if found.drift.drifted:
        yield ModelDrifted(
            model=name,
            version=found.version,
            description=found.drift.description,
            shifts=found.drift.shifts,
            carts=found.drift.carts,
            calibration_error=found.drift.calibration_error,
        )


def show(name: str, found: Measured) -> None:
    """Put a measurement into the process's metrics."""
    PSI.labels(name).set(found.drift.largest)
    if found.drift.calibration_error is not None:
        CALIBRATION_ERROR.labels(name).set(found.drift.calibration_error)
