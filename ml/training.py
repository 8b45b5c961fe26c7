"""Training: fit on the oldest sessions, calibrate on newer ones, judge on the newest, compare with what serves."""

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import polars as pl

from ml.dataset import horizon_of, points
from ml.evaluation import Floats, in_words, measure
from ml.features import names
from ml.models.propensity import PropensityClassifier
from ml.serving import Model
from ml.version import Metrics, Version

FIT, CALIBRATE = 0.6, 0.2
"""Shares of the log's sessions by age; the rest, the newest, is what a model is judged on."""
LEAST_ROWS, LEAST_OF_EACH, LEAST_TO_JUDGE = 200, 20, 5
"""Rows, rows of the rarer label when fitting, and of the rarer label when judging, below which nothing is learnt."""
WORTH = 1e-4
"""Brier improvement below which a new model is not worth a change."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a training. `better` says whether to register, `reason` why, in words.

    `carts` are the metrics where something was in the cart, `running` those of the model that serves
    (or of the base rates) on the same rows. Without enough to learn from `version` is None.
    """

    better: bool
    reason: str
    rows: int
    bought: int
    version: Version | None = None
    metrics: Metrics | None = None
    carts: Metrics | None = None
    running: Metrics | None = None
    model: Model | None = None


def train(
    steps: pl.DataFrame, *, running: Model | None = None, horizon: timedelta | None = None, now: datetime | None = None
) -> Outcome:
    """A model learnt from a frame of steps (`ml.dataset`), judged on its newest sessions.

    `running` is the model to beat there; without one it is the base rate of the older sessions. Never
    raises for a log that is too small or too plain: the outcome says what was missing.
    """
    horizon = horizon if horizon is not None else horizon_of(steps)
    rows = points(steps, horizon=horizon)
    bought = int(rows["label"].sum() or 0)
    old, middle, new = _split(rows)
    if lacking := _lacking(rows, old, middle, new):
        return Outcome(better=False, reason=f"nothing learnt: {lacking}", rows=len(rows), bought=bought)
    classifier = PropensityClassifier().fit(_inputs(old), _labels(old), newest=(_inputs(middle), _labels(middle)))
    model = classifier.served(names())
    judged = _labels(new)
    guesses = _guesses(old, new)
    metrics = measure(judged, model.score(_inputs(new)))
    carts = _of_carts(new, model)
    rival = running.score(_inputs(new)) if running is not None and running.features == names() else guesses
    beaten = measure(judged, rival)
    better, reason = _compare(metrics, beaten, "the running model" if rival is not guesses else "the base rates")
    return Outcome(
        better=better,
        reason=reason,
        rows=len(rows),
        bought=bought,
        version=_version(rows, metrics, carts, horizon, now or datetime.now(UTC)),
        metrics=metrics,
        carts=carts,
        running=beaten,
        model=model,
    )


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


def _compare(metrics: Metrics, beaten: Metrics, rival: str) -> tuple[bool, str]:
    figures = f"{in_words(metrics)}; {rival}: {in_words(beaten)}"
    if metrics.auc is not None and metrics.auc <= 0.5:
        return False, f"not better than chance at ranking ({figures})"
    if metrics.brier >= beaten.brier - WORTH:
        return False, f"no closer to what happened than {rival} ({figures})"
    return True, f"closer to what happened than {rival} ({figures})"


def _of_carts(new: pl.DataFrame, model: Model) -> Metrics | None:
    carts = new.filter(pl.col("carted"))
    return measure(_labels(carts), model.score(_inputs(carts))) if len(carts) else None


def _guesses(old: pl.DataFrame, new: pl.DataFrame) -> Floats:
    without, with_cart = base_rates(old)
    return np.where(new["carted"].to_numpy(), with_cart, without)


def _version(rows: pl.DataFrame, metrics: Metrics, carts: Metrics | None, horizon: timedelta, now: datetime) -> Version:
    import sklearn  # noqa: PLC0415  its version only

    digest = hashlib.sha256()
    for value in rows.hash_rows(seed=0).to_numpy():
        digest.update(value.tobytes())
    data = digest.hexdigest()[:16]
    return Version(
        name="propensity",
        version=f"{now:%Y%m%d-%H%M%S}-{data[:6]}",
        trained_at=now,
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
