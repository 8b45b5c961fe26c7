"""Uplift: learn from offers that chance gave or withheld whether choosing recipients helps, and whom to choose."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from ml.features import digest, names
from ml.lifecycle.drift import shapes
from ml.lifecycle.version import Version
from ml.models.artifact import pack
from ml.models.basis_expansion import Floats
from ml.models.logit import logit
from ml.models.offer_advice import Adviser
from ml.training.offer_assignments import training_rows
from ml.training.recipient_choice import LEARNERS, Choice, Trial, choose, cross_fit
from ml.training.result import ServingVersion, TrainingRequest, TrainingResult

__all__ = ["Outcome", "fit", "learn", "training_rows"]

NAME, NONE = "uplift", "none"
HORIZON = timedelta(days=3)
LEAST, LEAST_BOUGHT, LEAST_OF_ARM = 200, 20, 30
"""Carts with and without an offer, purchases (and none) of each, and carts of one discount, that are the least."""
WIDEST = 0.02
"""Half-width of the average effect's interval above which "no effect" is no finding yet."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was learnt. `better`: there is an adviser worth serving; `reason` why or why not."""

    better: bool
    reason: str
    rows: int = 0
    bought: int = 0
    version: Version | None = None
    adviser: Adviser | None = None
    choice: Choice | None = None

    def judge(self, running: ServingVersion | None) -> TrainingResult:
        """Accepted unless nothing could be learnt, or nothing that the running version did not know."""
        version, against = self.version, running.version.version if running else None
        if version is None or self.adviser is None:
            result = TrainingResult(
                accepted=False, reason=self.reason, rows=self.rows, bought=self.bought, against=against
            )
        elif running is not None and running.version.data_hash == version.data_hash:
            reason = f"nothing new to learn: {against}, which serves, was learnt from the same data"
            result = TrainingResult(accepted=False, reason=reason, rows=self.rows, bought=self.bought, against=against)
        else:
            result = TrainingResult(
                accepted=self.better,
                reason=self.reason,
                rows=self.rows,
                bought=self.bought,
                against=against,
                version=version,
                artifact=pack(self.adviser.plain()),
            )
        return result


def fit(rows: pl.DataFrame, order: TrainingRequest) -> Outcome:
    """As `learn`, for who trains."""
    return learn(rows, now=order.at, horizon=order.horizon, called=order.called, by=order.by)


def learn(
    rows: pl.DataFrame,
    *,
    seed: int = 7,
    now: datetime | None = None,
    horizon: timedelta | None = None,
    called: str | None = None,
    by: str = "",
) -> Outcome:
    """An adviser learnt from `training_rows`. Never raises for a log that is too small or too plain.

    A purchase counts within `horizon` (default three days, at most an eighth of the log) of its decision.
    """
    counted = _counted(rows, horizon or _horizon(rows))
    bought = int(counted["label"].sum() or 0)
    if lacking := _lacking(rows, counted):
        return Outcome(better=False, reason=f"nothing learnt: {lacking}", rows=len(counted), bought=bought)
    trial = _trial(counted)
    fits = {name: cross_fit(learner, trial, seed=seed) for name, learner in LEARNERS.items()}
    choice = choose(trial, fits, seed=seed)
    width = (choice.effect.interval.high - choice.effect.interval.low) / 2
    if choice.decision == "none" and width > WIDEST:
        reason = (
            f"not known yet whether offers change anything, so the journeys go on as they are: {choice.explanation}"
        )
        return Outcome(better=False, reason=reason, rows=len(counted), bought=bought, choice=choice)
    version = _version(counted, trial, choice, horizon or _horizon(rows), now or datetime.now(UTC), called, by)
    return Outcome(
        better=True,
        reason=choice.explanation,
        rows=len(counted),
        bought=bought,
        version=version,
        adviser=_adviser(counted, trial, choice, version.version),
        choice=choice,
    )


def _horizon(rows: pl.DataFrame) -> timedelta:
    if rows.is_empty():
        return HORIZON
    end = rows.select((pl.col("at") + pl.duration(seconds=pl.col("observed"))).max()).item()
    return min(HORIZON, (end - rows["at"].min()) / 8)


def _counted(rows: pl.DataFrame, horizon: timedelta) -> pl.DataFrame:
    """Rows whose outcome is known, which chance had a part in, whose features are ours; with `label` and `treated`.

    Only a visitor's first cart counts. The next ones are no fair comparison: those who got offers reach the
    frequency cap and those who did not never do, and one purchase would follow several carts.
    """
    seconds = horizon.total_seconds()
    return (
        rows.filter(
            pl.col("observed") >= seconds,
            pl.col("features_digest") == digest(),
            pl.col("values").list.len() == len(names()),
            pl.col("withheld").is_between(0, 1, closed="none"),
            pl.col("probability").is_between(0, 1, closed="right"),
        )
        .sort("at", "visitor")
        .unique("visitor", keep="first", maintain_order=True)
        .with_columns(
            label=(pl.col("waited") <= seconds).fill_null(value=False).cast(pl.Float64),
            treated=(pl.col("arm") != NONE).cast(pl.Float64),
        )
    )


def _lacking(rows: pl.DataFrame, counted: pl.DataFrame) -> str | None:
    """What the log has too little of, or None."""
    if rows.is_empty():
        return "no offer was decided yet for a cart with a score"
    certain = rows.filter((pl.col("withheld") <= 0) | (pl.col("withheld") >= 1))
    if len(certain) == len(rows):
        return (
            f"nothing was left to chance in {len(rows):,} decisions: set explore (such as 0.1) or holdout in the "
            "journey, so that some carts go without an offer by lot"
        )
    if counted.is_empty():
        return f"of {len(rows):,} decisions none is old enough for its outcome, or none was scored on today's features"
    for treated, called in ((0.0, "without an offer"), (1.0, "with an offer")):
        side = counted.filter(pl.col("treated") == treated)
        bought = int(side["label"].sum() or 0)
        if len(side) < LEAST:
            return f"{len(side):,} carts {called} whose outcome is known; {LEAST} is the least"
        if min(bought, len(side) - bought) < LEAST_BOUGHT:
            return (
                f"of {len(side):,} carts {called} {bought:,} were bought; "
                f"at least {LEAST_BOUGHT} must and {LEAST_BOUGHT} must not"
            )
    return None


def _trial(counted: pl.DataFrame) -> Trial:
    return Trial(
        rows=np.array(counted["values"].to_list(), dtype=np.float64),
        labels=counted["label"].to_numpy(),
        treated=counted["treated"].to_numpy(),
        share=1 - counted["withheld"].to_numpy(),
    )


def _adviser(counted: pl.DataFrame, trial: Trial, choice: Choice, version: str) -> Adviser:
    model = LEARNERS[choice.learner]().fit(trial.rows, trial.labels, trial.treated, share=trial.share)
    effect = model.effect_
    alone = trial.treated == 0
    depths, steps = _steps(counted, choice.effect.untreated)
    return Adviser(
        version=version,
        features=names(),
        decision=choice.decision,
        explanation=choice.explanation,
        effect=effect,
        unaided=logit(effect.basis.rows(trial.rows[alone]), trial.labels[alone], freedom=0.1)[None, :],
        average=choice.effect.untreated,
        depths=depths,
        steps=steps,
        pooled=choice.effect.average,
    )


def _steps(counted: pl.DataFrame, untreated: float) -> tuple[Floats, Floats]:
    """Discounts that were given, rising, and the average effect of each: a line that never falls with the discount.

    Few carts tell of one discount. Taken by themselves the luckiest would look the best.
    """
    found = []
    for arm in sorted((arm for arm in counted["arm"].unique() if arm.isdecimal()), key=int):
        own = counted.filter(pl.col("arm") == arm)
        if len(own) < LEAST_OF_ARM:
            continue
        weights, labels = 1 / own["probability"].to_numpy(), own["label"].to_numpy()
        mean = float(weights @ labels / weights.sum())
        # A smoothed variance: an arm where everyone did the same is not known for certain.
        spread = max(mean * (1 - mean), 1 / len(own))
        found.append((float(arm), mean - untreated, spread * float((weights**2).sum() / weights.sum() ** 2)))
    if not found:
        return np.zeros(0), np.zeros(0)
    depths, effects, variances = np.array(found).T
    precision = 1 / variances
    middle, mean = precision @ depths / precision.sum(), precision @ effects / precision.sum()
    spread = precision @ (depths - middle) ** 2
    slope = max(0.0, float(precision @ ((depths - middle) * (effects - mean)) / spread)) if spread > 0 else 0.0
    return depths, np.clip(mean + slope * (depths - middle), -1.0, 1.0)


def _version(
    counted: pl.DataFrame,
    trial: Trial,
    choice: Choice,
    horizon: timedelta,
    now: datetime,
    called: str | None,
    by: str,
) -> Version:
    import sklearn  # noqa: PLC0415  its version only

    rows = counted.select("visitor", "at", "arm", "probability", "label", pl.col("values").hash(seed=0).alias("values"))
    data = hashlib.sha256(rows.hash_rows(seed=0).to_numpy().tobytes()).hexdigest()[:16]
    effect = choice.effect
    return Version(
        name=NAME,
        version=called or f"{now:%Y%m%d-%H%M%S}-{data[:6]}",
        trained_at=now,
        window=(counted["at"].min(), counted["at"].max()),
        horizon_seconds=horizon.total_seconds(),
        rows=len(counted),
        data_hash=data,
        features=names(),
        base_rates=(effect.untreated, effect.treated),
        sklearn=sklearn.__version__,
        figures={
            "qini": sum(choice.qini[choice.learner]) / len(choice.qini[choice.learner]),
            "qini_low": choice.interval.low,
            "qini_high": choice.interval.high,
            "effect": effect.average,
            "effect_low": effect.interval.low,
            "effect_high": effect.interval.high,
        },
        gate=choice.explanation,
        trained_by=by,
        shapes=shapes(trial.rows, names()),
    )
