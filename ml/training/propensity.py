"""Training: fit on the oldest sessions, calibrate on newer ones, judge on the newest, compare with what serves."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from msgspec.structs import replace

from ml.features import names
from ml.lifecycle.drift import shapes
from ml.lifecycle.gate import against_guessing, against_memory, against_running
from ml.lifecycle.verdict import Verdict
from ml.lifecycle.version import Metrics, Version
from ml.models.artifact import ArtifactRefused, pack, unpack
from ml.models.propensity import PropensityClassifier
from ml.models.propensity_serving import KIND, Model
from ml.training.dataset import horizon_of, points
from ml.training.metrics import Floats, measure
from ml.training.result import BOUGHT, ServingVersion, TrainingRequest, TrainingResult

FIT, CALIBRATE = 0.6, 0.2
"""Shares of the log's sessions by age; the rest, the newest, is what a model is judged on."""
LEAST_ROWS, LEAST_OF_EACH, LEAST_TO_JUDGE = 200, 20, 5
"""Rows, rows of the rarer label when fitting, and of the rarer label when judging, below which nothing is learnt."""


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """No model: the log has too little of something."""

    reason: str
    rows: int
    bought: int

    def judge(self, running: ServingVersion | None) -> TrainingResult:
        """Never accepted."""
        against = running.version.version if running else None
        return TrainingResult(accepted=False, reason=self.reason, rows=self.rows, bought=self.bought, against=against)


@dataclass(frozen=True, kw_only=True)
class FittedPropensity:
    """A model with the rows (n, features) and labels (n,) of the newest sessions, that it is judged on.

    `guesses` (n,) are the base rates of the older sessions. Other models of the same kind of trees, as that of fraud,
    are judged alike: `bought` is how many rows have the label 1, and `outcome` what that means.
    """

    model: Model
    version: Version
    metrics: Metrics
    inputs: Floats
    labels: Floats
    guesses: Floats
    bought: int
    outcome: str = BOUGHT

    def judge(self, running: ServingVersion | None) -> TrainingResult:
        """Better than the base rates, and no worse than the model that serves; never raises."""
        version = self.version
        same = running is not None and (running.version.data_hash, running.version.features) == (
            version.data_hash,
            version.features,
        )
        if running is not None and same:
            reason = f"nothing new to learn: {running.version.version}, which serves, was learnt from the same data"
            return self._learnt(Verdict(accepted=False, reason=reason), running, running.version.metrics, keep=False)
        plain = measure(self.labels, self.guesses)
        verdict = against_guessing(self.metrics, plain)
        if running is None or not verdict.accepted:
            return self._learnt(verdict, running, plain)
        called = f"the running model {running.version.version}"
        served = read(running, self.model.kind, version.features)
        if served is None:
            verdict = against_memory(self.metrics, running.version.metrics, called=called)
            return self._learnt(verdict, running, running.version.metrics)
        rival = measure(self.labels, served.score(self.inputs))
        return self._learnt(against_running(self.metrics, rival, called=called), running, rival)

    def _learnt(
        self, verdict: Verdict, running: ServingVersion | None, rival: Metrics | None, *, keep: bool = True
    ) -> TrainingResult:
        return TrainingResult(
            accepted=verdict.accepted,
            reason=verdict.reason,
            rows=self.version.rows,
            bought=self.bought,
            outcome=self.outcome,
            against=running.version.version if running else None,
            version=replace(self.version, accepted=verdict.accepted, gate=verdict.reason) if keep else None,
            artifact=pack(self.model.plain()) if keep else None,
            running=rival,
        )


def fit(steps: pl.DataFrame, order: TrainingRequest) -> FittedPropensity | Nothing:
    """A model from a frame of steps (`ml.training.dataset`). Never raises for a log that is too small or too plain."""
    horizon = order.horizon if order.horizon is not None else horizon_of(steps)
    rows = points(steps, horizon=horizon)
    bought = int(rows["label"].sum() or 0)
    old, middle, new = _split(rows)
    if lacking := _lacking(rows, old, middle, new):
        return Nothing(reason=f"nothing learnt: {lacking}", rows=len(rows), bought=bought)
    classifier = PropensityClassifier().fit(_inputs(old), _labels(old), newest=(_inputs(middle), _labels(middle)))
    model = classifier.served(names())
    inputs, labels = _inputs(new), _labels(new)
    metrics = measure(labels, model.score(inputs))
    version = _version(rows, metrics, _of_carts(new, model), horizon, order)
    moments = rows.join(steps.filter(pl.col("kind") == "moment"), on=["visitor", "session", "at"], how="semi")
    return FittedPropensity(
        model=model,
        version=replace(version, shapes=shapes(_inputs(moments), names())),
        metrics=metrics,
        inputs=inputs,
        labels=labels,
        guesses=_guesses(old, new),
        bought=bought,
    )


def read(running: ServingVersion, kind: str = KIND, features: tuple[str, ...] | None = None) -> Model | None:
    """The model that serves; None where it cannot be asked here, as scoring cannot serve it either after a restart."""
    if running.artifact is None:
        return None
    try:
        return Model.of(unpack(running.artifact, kind=kind, features=names() if features is None else features))
    except ArtifactRefused:
        return None


def base_rates(rows: pl.DataFrame) -> tuple[float, float]:
    """The share of rows that ended in a purchase: without a cart, with one. Shrunk a little towards a half."""
    carted, bought = rows["carted"].to_numpy(), _labels(rows)
    return _share(bought[~carted]), _share(bought[carted])


def _share(labels: Floats) -> float:
    return float((labels.sum() + 0.5) / (len(labels) + 1))


def _split(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """By the time sessions began: no session is on both sides of a border."""
    if rows.is_empty():
        return rows, rows, rows
    begun = rows["start"].to_numpy()
    first, second = np.quantile(begun, [FIT, FIT + CALIBRATE], method="lower")
    return (
        rows.filter(pl.col("start") < first),
        rows.filter(pl.col("start") >= first, pl.col("start") < second),
        rows.filter(pl.col("start") >= second),
    )


def _lacking(rows: pl.DataFrame, old: pl.DataFrame, middle: pl.DataFrame, new: pl.DataFrame) -> str | None:
    """What the log has too little of, or None."""
    if len(rows) < LEAST_ROWS:
        return f"the log holds {len(rows):,} moments whose outcome is known; {LEAST_ROWS} is the least"
    for part, called, least in ((old, "older", LEAST_OF_EACH), (new, "newest", LEAST_TO_JUDGE)):
        bought = int(part["label"].sum() or 0)
        rarer = min(bought, len(part) - bought)
        if rarer < least:
            return (
                f"of {len(part):,} moments in the {called} sessions {bought:,} ended in a purchase; "
                f"at least {least} must and {least} must not"
            )
    return None if len(middle) else "all sessions began at the same time, so none are newer than others"


def _of_carts(new: pl.DataFrame, model: Model) -> Metrics | None:
    carts = new.filter(pl.col("carted"))
    return measure(_labels(carts), model.score(_inputs(carts))) if len(carts) else None


def _guesses(old: pl.DataFrame, new: pl.DataFrame) -> Floats:
    without, with_cart = base_rates(old)
    return np.where(new["carted"].to_numpy(), with_cart, without)


def _version(
    rows: pl.DataFrame, metrics: Metrics, carts: Metrics | None, horizon: timedelta, order: TrainingRequest
) -> Version:
    import sklearn  # noqa: PLC0415  its version only

    digest = hashlib.sha256()
    for value in rows.hash_rows(seed=0).to_numpy():
        digest.update(value.tobytes())
    data = digest.hexdigest()[:16]
    return Version(
        name="propensity",
        version=order.called or f"{order.at:%Y%m%d-%H%M%S}-{data[:6]}",
        trained_at=order.at,
        trained_by=order.by,
        window=(datetime.fromtimestamp(rows["at"].min(), UTC), datetime.fromtimestamp(rows["at"].max(), UTC)),
        horizon_seconds=horizon.total_seconds(),
        rows=len(rows),
        data_hash=data,
        features=names(),
        metrics=metrics,
        carts=carts,
        base_rates=base_rates(rows),
        sklearn=sklearn.__version__,
    )


def _inputs(rows: pl.DataFrame) -> Floats:
    return np.ascontiguousarray(rows.select(names()).to_numpy().astype(np.float64))


def _labels(rows: pl.DataFrame) -> Floats:
    return rows["label"].to_numpy().astype(np.float64)
