"""Cart prefixes (RetailRocket): sessions with a cart, seen some events after the first addition, and who buys later.

A row is what is known at one moment of a session. To it comes what the same visitor's earlier sessions in the
file tell, their outcomes included, as those are known by then; nothing of the same or a later session. The last
part of `session_key` says which of the visitor's sessions it is.
"""

from pathlib import Path

import polars as pl

from ml.benchmarks import BadFile
from ml.benchmarks.examples import Examples, labels, numbers, read

SESSION = (
    "cutoff_k",
    "view_count",
    "addtocart_count",
    "unique_items_count",
    "view_to_cart_ratio",
    "seconds_since_first_event",
    "seconds_since_first_cart",
    "seconds_since_last_cart",
    "seconds_since_previous_event",
    "inter_event_interval_mean",
    "repeated_views_of_cart_items",
    "hour_of_day",
    "day_of_week",
)
KEYS = ("session_key", "visitorid", "y")
USUAL, WORTH = 0.24, 2
"""The share of carts that are bought in this shop, and how many sessions of one's own that is worth."""
MEMORY = 0.3
"""The weight of the newest earlier cart in the recent conversion rate."""
_VISITS = ("visitorid", "visit")


def examples(train: Path, test: Path) -> tuple[Examples, Examples]:
    """Rows to learn from and to judge on. Visitors of the test also remember what the training file knows of them."""
    learnt, judged = (as_known(read(path, (*KEYS, *SESSION)), path) for path in (train, test))
    known = pl.concat([learnt, judged], how="vertical")
    return _examples(learnt, with_history(learnt, learnt)), _examples(judged, with_history(judged, known))


def with_history(frame: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The rows with what `known` (rows of the same columns) tells of each visitor's earlier sessions."""
    sessions = known.group_by(*_VISITS).agg(
        pl.col("y").max(), pl.col("view_count", "addtocart_count").sort_by("cutoff_k").last()
    )
    history = sessions.sort(_VISITS).select(*_VISITS, *_history())
    return frame.join(history, on=_VISITS, how="left", maintain_order="left")


def _history() -> list[pl.Expr]:
    """Of a visitor's sessions in order, for each what those before it tell; null where there are none."""
    visit, bought = pl.col("visit"), pl.col("y")
    carts = pl.int_range(pl.len()).cast(pl.Float64)
    purchases = _before(bought)
    history = {
        "earlier_carts": carts,
        "earlier_purchases": purchases,
        "own_rate": (purchases + USUAL * WORTH) / (carts + WORTH),
        "recent_rate": bought.ewm_mean(alpha=MEMORY).shift(1),
        "last_cart_bought": bought.shift(1),
        "visits_since_cart": visit - visit.shift(1),
        "visits_since_purchase": visit - pl.when(bought == 1).then(visit).shift(1).forward_fill(),
        "visits_without_cart": visit - 1 - carts,
        "carts_per_visit": carts / visit,
        "usual_views": pl.when(carts > 0).then(_before(pl.col("view_count")) / carts),
        "usual_additions": pl.when(carts > 0).then(_before(pl.col("addtocart_count")) / carts),
    }
    return [one.over("visitorid").alias(name) for name, one in history.items()]


def _before(values: pl.Expr) -> pl.Expr:
    return values.cum_sum() - values


def as_known(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """A file's rows with the number of each visit. BadFile where they are no such rows."""
    parts = frame["session_key"].cast(pl.String).str.extract_groups(r"^(?<visitor>.*)_(?<visit>\d+)$")
    visit = parts.struct.field("visit").cast(pl.Float64, strict=False)
    if visit.is_null().any() or frame["visitorid"].is_null().any():
        raise BadFile(f"{path.name}: session_key must be <visitor>_<number of the visit>, and visitorid must be there")
    frame = numbers(frame, SESSION, path).with_columns(
        y=pl.Series(labels(frame, "y", path)), visit=visit, visitorid=pl.col("visitorid").cast(pl.String)
    )
    return frame.select(*_VISITS, "y", *SESSION)


def _examples(frame: pl.DataFrame, rows: pl.DataFrame) -> Examples:
    inputs = rows.drop("visitorid", "y")
    return Examples(
        features=tuple(inputs.columns),
        rows=inputs.cast(pl.Float64).fill_nan(None).to_numpy(),
        labels=frame["y"].to_numpy(),
        groups=frame["visitorid"].to_numpy(),
    )
