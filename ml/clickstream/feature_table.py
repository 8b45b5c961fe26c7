"""The frame: every visitor's steps as one table, and the off-line face of all features over it."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Literal, get_args

import numpy as np
import polars as pl

from ml.clickstream.lookback import event, most, newest, of, so_far
from ml.clickstream.steps import MOST_PRODUCTS, CartExpander, Kind, Step
from ml.features import catalogue

IDLE = timedelta(minutes=30)
COLUMNS = {
    "visitor": pl.String,
    "session": pl.String,
    "at": pl.Float64,
    "kind": pl.Enum(get_args(Kind)),
    "product": pl.String,
    "price": pl.Float64,
    "cart_lines": pl.Int64,
    "cart_value": pl.Float64,
    "device": pl.String,
    "referrer": pl.String,
    "utc_offset": pl.Int64,
}
SESSION = ("visitor", "session")
ANSWER = "feature_"


def frame(shoppers: Mapping[str, Iterable[Step]]) -> pl.DataFrame:
    """Visitors' steps as they stand in the streams, in any order, as the ordered frame of `COLUMNS`."""
    return pl.DataFrame(_rows(shoppers), schema=COLUMNS, orient="row")


def with_moments(steps: pl.DataFrame, *, idle: timedelta = IDLE) -> pl.DataFrame:
    """The frame with a `moment` wherever a filled cart had not been touched for `idle`."""
    touches = with_trips(ordered(steps.filter(of("cart", "change", "purchase"))))
    return with_questions(steps, left(touches, idle=idle))


def left(touches: pl.DataFrame, *, idle: timedelta = IDLE) -> pl.DataFrame:
    """`visitor, session, at` of the moments at which the carts touched here, with their trips, were left for `idle`."""
    touches = touches.sort("trip", maintain_order=True)
    following = pl.when(pl.col("trip") == pl.col("trip").shift(-1)).then(pl.col("at").shift(-1))
    due = pl.col("at") + idle.total_seconds()
    alone = (pl.col("cart_lines") > 0) & (following.is_null() | (following > due))
    return touches.filter(alone).select(*SESSION, at=due)


def with_questions(steps: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """The frame with a `moment` for every row of `visitor, session, at`, behind all steps of the same time."""
    moments = questions.select(
        *(pl.col(name).cast(COLUMNS[name]) for name in (*SESSION, "at")),
        pl.lit("moment", COLUMNS["kind"]).alias("kind"),
        *(pl.lit(None, COLUMNS[name]).alias(name) for name in list(COLUMNS)[4:]),
    )
    return ordered(pl.concat([steps.select(*COLUMNS), moments]))


def ordered(steps: pl.DataFrame) -> pl.DataFrame:
    """By visitor and time, moments last, otherwise as they were; visitors in any order.

    Stable sorts of numbers one after the other, the last for 16 bits at a time, are five times faster than
    one sort by names, and faster still where the log was in order already.
    """
    visitor = steps["visitor"].cast(pl.Categorical).to_physical().to_numpy()
    order = np.argsort(steps.select(of("moment"))["kind"].to_numpy(), kind="stable")
    order = order[np.argsort(steps["at"].to_numpy()[order], kind="stable")]
    for shift in (0, 16):
        if shift == 0 or visitor.max(initial=0) >> shift:
            order = order[np.argsort((visitor[order] >> shift).astype(np.uint16), kind="stable")]
    return steps[order]


def with_features(steps: pl.DataFrame) -> pl.DataFrame:
    """The frame with one column per feature: what was known at each row, itself included, nothing later.

    `steps` is ordered by visitor and time; any order of visitors will do.
    """
    rows = with_trips(steps)
    begins = pl.col("visitor").ne_missing(pl.col("visitor").shift(1))
    rows = rows.hstack(_of_sessions(rows.drop(SESSION))).with_columns(begins=begins)
    rows = _answered(rows.with_columns(nth=so_far(event())), "visitor")
    return rows.select(*steps.columns, *(f"{ANSWER}{feature.name}" for feature in catalogue()))


def at_moment(steps: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """What was known of a visitor at a moment, from their steps until then: the off-line face, asked on demand.

    `steps` is a frame of `COLUMNS` that may hold any visitors and reach beyond the questions; `questions`
    has `visitor, session, at`. Returned in the order of the questions: these, `steps` (how many steps of the
    visitor were known, as `Evidence.steps` counts them) and one column per feature.
    """
    numbered = questions.with_row_index("question")
    asked = with_questions(
        steps.filter(of("moment").not_()).join(questions.select("visitor").unique(), on="visitor", how="semi"),
        numbered,
    )
    known = with_features(asked).with_columns(steps=event().cast(pl.Int64).cum_sum().over("visitor"))
    answers = known.filter(of("moment")).unique([*SESSION, "at"], keep="any").drop(list(COLUMNS)[3:])
    answered = numbered.with_columns(pl.col("at").cast(pl.Float64)).join(answers, on=[*SESSION, "at"], how="left")
    return answered.sort("question").drop("question").rename(lambda name: name.removeprefix(ANSWER))


def _rows(shoppers: Mapping[str, Iterable[Step]]) -> Iterator[tuple]:
    for visitor, steps in sorted(shoppers.items()):
        expander = CartExpander()
        for step in sorted(steps, key=lambda step: (step.at, step.kind == "moment", step.id)):
            for s in expander.expand(step):
                cart = (s.cart_lines, s.cart_value, s.device, s.referrer, s.utc_offset)
                yield visitor, s.session, s.at, s.kind, s.product, s.price, *cart


def _of_sessions(rows: pl.DataFrame) -> pl.DataFrame:
    """The sessions' features and `arrives`, for rows in the order of visitors, in which sessions may overlap."""
    trips, back = rows["trip"].to_numpy(), None
    if (trips[1:] < trips[:-1]).any():
        order = np.argsort(trips, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        rows = rows[order]
    rows = rows.with_columns(begins=pl.col("trip") != pl.col("trip").shift(1, fill_value=2**32 - 1))
    rows = _with_products(rows.with_columns(nth=so_far(event())))
    rows = _answered(rows.with_columns(arrives=event() & (pl.col("nth") == 1)), "session")
    rows = rows.select("arrives", pl.col(f"^{ANSWER}.*$"))
    return rows if back is None else rows[back]


def _answered(rows: pl.DataFrame, scope: Literal["session", "visitor"]) -> pl.DataFrame:
    asked = [feature for feature in catalogue() if feature.scope == scope]
    aids = {name: aid for feature in asked for name, aid in feature.aids().items()}
    for name, aid in aids.items():
        rows = rows.with_columns(aid.alias(name))
    answers = (feature.expression().cast(pl.Float64).alias(ANSWER + feature.name) for feature in asked)
    return rows.lazy().with_columns(answers).collect(engine="in-memory")


def with_trips(steps: pl.DataFrame) -> pl.DataFrame:
    """With `trip`, a number per session that rises in the order in which sessions began."""
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in SESSION)
    rows = steps.with_columns(run=changed.cum_sum().cast(pl.UInt32) - 1)
    runs = rows.group_by("run", maintain_order=True).agg(pl.first(*SESSION))
    trip = runs.select(pl.col("run").min().over(*SESSION).alias("trip"))["trip"]
    return rows.with_columns(trip=trip.gather(rows["run"])).drop("run")


def _with_products(rows: pl.DataFrame) -> pl.DataFrame:
    """With `fresh`, `looks` and `again` (see `lookback`), which follow each product through its session."""
    codes = rows["product"].cast(pl.Categorical).to_physical().fill_null(2**32 - 1)
    meets = of("view", "cart") & pl.col("product").is_not_null()
    key = rows["trip"].cast(pl.UInt64) * 2**32 + codes
    order = np.argsort(key.to_numpy(), kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    key = key.gather(order)
    touches = rows.select("kind", meets=meets)[order].with_columns(begins=key != key.shift(1, fill_value=2**64 - 1))
    touches = touches.with_columns(
        fresh=pl.col("meets") & (so_far(pl.col("meets")) == 1),
        looks=pl.when(of("view") & pl.col("meets")).then(so_far(of("view") & pl.col("meets"))).otherwise(0),
        again=of("view") & pl.col("meets") & (so_far(of("cart") & pl.col("meets")) > 0),
    )
    rows = rows.hstack(touches.select("fresh", "looks", "again")[back])
    if len(rows) and rows.select(most(so_far(pl.col("fresh"))).max()).item() > MOST_PRODUCTS:
        rows = _bounded(rows, key, order, back)
    return rows


def _bounded(rows: pl.DataFrame, key: pl.Series, order: np.ndarray, back: np.ndarray) -> pl.DataFrame:
    """Only the first products of a session are distinguished, as on line."""
    place = rows.select("fresh", place=so_far(pl.col("fresh")))[order]
    place = place.with_columns(begins=key != key.shift(1, fill_value=2**64 - 1))
    is_kept = place.select(newest("place", pl.col("fresh"), otherwise=0) <= MOST_PRODUCTS)[back].to_series()
    return rows.with_columns(
        fresh=pl.col("fresh") & is_kept,
        looks=pl.when(is_kept).then("looks").otherwise(0),
        again=pl.col("again") & is_kept,
    )
