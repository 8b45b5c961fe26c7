"""The dataset: a shop's log, from a file or from the mesh, as a table of moments with what was known then.

Both sources become one frame of unfolded steps (`COLUMNS`), ordered by visitor and time, over which every
feature's expression is computed. `points` then asks at each step and at each `moment`, half an hour after
a cart was left: what was known (features), and did the shopper buy within the horizon after it (label)?
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path

import polars as pl

from mesh import Mesh
from mesh.events.cart import CartAbandoned
from ml.features import catalogue, names
from ml.steps import INTERACTIONS, MOST_PRICE, PURCHASING, Step, Unfolding, session_of, step_of

IDLE = timedelta(minutes=30)
HORIZON = timedelta(hours=24)
MOST_POINTS = 400_000
COLUMNS = {
    "visitor": pl.String,
    "session": pl.String,
    "at": pl.Float64,
    "kind": pl.String,
    "product": pl.String,
    "price": pl.Float64,
    "cart_lines": pl.Int64,
    "cart_value": pl.Float64,
    "device": pl.String,
    "referrer": pl.String,
}
_FILE = ("event_time", "event_type", "product_id", "price", "user_id", "user_session")
_SESSION = ("visitor", "session")


class UnreadableLog(ValueError):
    """A file that is no log of a shop; the message says what it should hold."""


def frame(shoppers: Mapping[str, Iterable[Step]]) -> pl.DataFrame:
    """Visitors' steps as the mesh told them, in any order, as the ordered frame of `COLUMNS`."""
    rows: list[tuple] = []
    for visitor, steps in sorted(shoppers.items()):
        unfolding = Unfolding()
        for step in sorted(steps, key=lambda step: (step.at, step.kind == "moment", step.id)):
            rows += [
                (visitor, s.session, s.at, s.kind, s.product, s.price, s.cart_lines, s.cart_value, s.device, s.referrer)
                for s in unfolding.unfold(step)
            ]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


async def from_mesh(mesh: Mesh) -> pl.DataFrame:
    """Everything that shoppers did in this region, as far as its streams reach back."""
    shoppers: dict[str, dict[str, Step]] = defaultdict(dict)
    async for received in mesh.read(*INTERACTIONS, *PURCHASING, CartAbandoned):
        happened = received.event
        if isinstance(happened, CartAbandoned):
            at = happened.due.timestamp()
            session = session_of(happened.session_id, happened.visitor_id, happened.left_at.timestamp())
            step = Step(at, received.id, "moment", session)
        else:
            step = step_of(received)
        shoppers[happened.visitor_id][received.id] = step
    return frame({visitor: steps.values() for visitor, steps in shoppers.items()})


def from_file(path: str | Path, *, idle: timedelta = IDLE) -> pl.DataFrame:
    """A log in Parquet or CSV: event_time, event_type, product_id, price, user_id, user_session; device where known.

    A `cart` row is a product that joins its session's cart, a `purchase` row empties it; `idle` after the
    last touch of a filled cart there is a moment. Unusable prices count as 0, rows without time or user
    are left out. UnreadableLog names what is missing.
    """
    path = Path(path)
    try:
        log = pl.read_csv(path) if path.suffix.lower() == ".csv" else pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnreadableLog(f"{path} cannot be read as Parquet or CSV: {error}") from error
    if missing := [name for name in _FILE if name not in log.columns]:
        raise UnreadableLog(f"{path} has no column {', '.join(missing)}; a log has {', '.join(_FILE)}")
    return with_moments(_with_carts(_normalised(log)), idle=idle)


def _normalised(log: pl.DataFrame) -> pl.DataFrame:
    time = pl.col("event_time")
    device = pl.col("device").cast(pl.String) if "device" in log.columns else pl.lit(None, pl.String)
    if log.schema["event_time"] == pl.String:
        time = time.str.replace(" UTC", "").str.to_datetime(strict=False, time_unit="us")
    price = pl.col("price").cast(pl.Float64, strict=False)
    user, session = pl.col("user_id").cast(pl.String), pl.col("user_session").cast(pl.String)
    visitor = pl.coalesce(user, session)
    at = time.dt.epoch("us") / 1e6
    return (
        log.select(
            visitor=visitor,
            session=pl.coalesce(session, pl.format("{}:{}", visitor, (at // 86_400).cast(pl.Int64))),
            at=at,
            kind=pl.col("event_type").cast(pl.String),
            product=pl.col("product_id").cast(pl.String),
            device=device,
            price=pl.when(price.is_finite() & price.is_between(0, MOST_PRICE)).then(price).otherwise(0.0),
        )
        .filter(pl.col("kind").is_in(["view", "cart", "purchase"]), pl.col("visitor").is_not_null())
        .filter(pl.col("at").is_not_null())
        .sort("visitor", "at", maintain_order=True)
    )


def _with_carts(steps: pl.DataFrame) -> pl.DataFrame:
    """Rows of one order become one; each product joins a cart once between two purchases."""
    bought, carted = pl.col("kind") == "purchase", (pl.col("kind") == "cart") & pl.col("product").is_not_null()
    trip = (*_SESSION, "trip")
    nth = carted.cast(pl.Int64).cum_sum().over(*trip, "product")
    joined = carted & (nth == 1)
    return (
        steps.filter(~bought | pl.struct(*_SESSION, "at", "kind").is_first_distinct())
        .with_columns(trip=bought.cast(pl.Int64).cum_sum().shift(1, fill_value=0).over(*_SESSION))
        .with_columns(
            cart_lines=pl.when(bought).then(0).otherwise(joined.cast(pl.Int64).cum_sum().over(*trip)),
            cart_value=pl.when(bought).then(0.0).otherwise((joined * pl.col("price")).cum_sum().over(*trip)),
            kind=pl.when((pl.col("kind") == "cart") & ~joined).then(pl.lit("change")).otherwise(pl.col("kind")),
            referrer=pl.lit(None, pl.String),
        )
        .select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())
    )


def with_moments(steps: pl.DataFrame, *, idle: timedelta = IDLE) -> pl.DataFrame:
    """The frame with a `moment` wherever a filled cart had not been touched for `idle`."""
    touches = steps.filter(pl.col("kind").is_in(["cart", "change", "purchase"]))
    following = pl.col("at").shift(-1).over(*_SESSION)
    due = pl.col("at") + idle.total_seconds()
    left = (pl.col("cart_lines") > 0) & (following.is_null() | (following > due))
    moments = touches.filter(left).select(
        *_SESSION, at=due, kind=pl.lit("moment"), **{name: pl.lit(None, COLUMNS[name]) for name in list(COLUMNS)[4:]}
    )
    return (
        pl.concat([steps, moments.select(*COLUMNS)])
        .with_columns(late=pl.col("kind") == "moment")
        .sort("visitor", "at", "late", maintain_order=True)
        .drop("late")
    )


def with_features(steps: pl.DataFrame) -> pl.DataFrame:
    """The frame with one column per feature: what was known at each row, itself included, nothing later."""
    return steps.with_columns(
        feature.expression().cast(pl.Float64).fill_null(0.0).alias(f"feature_{feature.name}") for feature in catalogue()
    )


def horizon_of(steps: pl.DataFrame, wanted: timedelta = HORIZON) -> timedelta:
    """The horizon that a log can answer: `wanted`, but at most an eighth of its length."""
    happened = steps.filter(pl.col("kind") != "moment")["at"]
    return min(wanted, timedelta(seconds=(happened.max() - happened.min()) / 8)) if len(happened) else wanted


def points(steps: pl.DataFrame, *, horizon: timedelta | None = None) -> pl.DataFrame:
    """One row per moment in a shopper's visit: features, `label`, and where it belongs.

    `label` is 1 when the visitor buys within `horizon` after `at`; rows whose horizon is not over when
    the log ends are left out, bought or not. `carted`: there was something in the cart. `start`: when the
    session began, for temporal splits. Above 400,000 rows whole visitors are left out by hash.
    """
    horizon = horizon if horizon is not None else horizon_of(steps)
    happened = steps.filter(pl.col("kind") != "moment")["at"]
    end = happened.max() if len(happened) else 0.0
    purchase = pl.when(pl.col("kind") == "purchase").then(pl.col("at"))
    upcoming = purchase.shift(-1).backward_fill().over("visitor")
    sampled = _sampled(with_features(steps).with_columns(upcoming=upcoming))
    label = (pl.col("upcoming") - pl.col("at") <= horizon.total_seconds()).fill_null(value=False)
    return (
        sampled.with_columns(start=pl.col("at").min().over(*_SESSION))
        .filter(pl.col("kind") != "purchase", pl.col("at") <= end - horizon.total_seconds())
        .select(
            *_SESSION,
            "at",
            "start",
            label=label.cast(pl.Int8),
            carted=pl.col("feature_cart_lines") > 0,
            **{name: pl.col(f"feature_{name}") for name in names()},
        )
        .sort("start", "session", "at", maintain_order=True)
    )


def _sampled(steps: pl.DataFrame) -> pl.DataFrame:
    shares = -(-len(steps) // MOST_POINTS)
    return steps if shares <= 1 else steps.filter(pl.col("visitor").hash(seed=1) % shares == 0)
