"""The dataset: a shop's log, from a file or from the mesh, as a table of moments with what was known then.

Both sources become one frame of expanded steps (`feature_table`), ordered by visitor and time, over which every
feature's expression is computed. `points` then asks at each step and at each `moment`, half an hour after
a cart was left: what was known (features), and did the shopper buy within the horizon after it (label)?
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from zlib import crc32

import polars as pl

from mesh import Mesh
from mesh.envelope import Received
from mesh.events.cart import CartAbandoned
from mesh.lake.reading import read_history
from ml.clickstream.erased import read_erased
from ml.clickstream.feature_table import ANSWER, COLUMNS, IDLE, SESSION, at_moment, frame, with_features, with_moments
from ml.clickstream.log_files import MOST_ROWS, UnreadableLog, from_file, parts, write_features
from ml.clickstream.lookback import of
from ml.clickstream.orders import Orders, read_orders
from ml.clickstream.steps import INTERACTIONS, PURCHASING, Step, order_of, session_of, step_of
from ml.features import names

__all__ = [
    "COLUMNS",
    "HORIZON",
    "IDLE",
    "MOST_POINTS",
    "UnreadableLog",
    "at_moment",
    "frame",
    "from_file",
    "from_mesh",
    "horizon_of",
    "parts",
    "points",
    "with_features",
    "with_moments",
    "write_features",
]
HORIZON = timedelta(hours=24)
MOST_POINTS = 400_000


async def from_mesh(mesh: Mesh, *, most: int = MOST_ROWS) -> pl.DataFrame:
    """Everything that shoppers did in this region, as far as its lake or else its streams reach back.

    `counted` tells which orders are purchases to learn from; where the shop confirms orders, the frame ends where its
    confirmations do. What visitors did before they were erased is left out, and of more than `most` events whole
    visitors are, by hash.
    """
    shoppers: dict[str, dict[str, Step]] = defaultdict(dict)
    orders, erased = await read_orders(mesh), await read_erased(mesh)
    end = orders.known_until()
    kept, shares = 0, 1
    async for received in read_history(mesh, *INTERACTIONS, *PURCHASING, CartAbandoned):
        visitor = received.event.visitor_id
        step = _step(received)
        if _class(visitor, shares) or erased.covers(visitor, step.at) or (end and step.at > end.timestamp()):
            continue
        shoppers[visitor].setdefault(step.id, step)
        kept += 1
        while kept > most:
            fewer = {one: known for one, known in shoppers.items() if not _class(one, 2 * shares)}
            if len(fewer) in (0, len(shoppers)):
                break  # nobody is left, or nobody can be left out: a few visitors with very many steps
            shoppers, shares = defaultdict(dict, fewer), 2 * shares
            kept = sum(map(len, shoppers.values()))
    return _with_counted(frame({visitor: steps.values() for visitor, steps in shoppers.items()}), shoppers, orders)


def _with_counted(steps: pl.DataFrame, shoppers: Mapping[str, Mapping[str, Step]], orders: Orders) -> pl.DataFrame:
    """The frame with `counted`: false for orders that were reported only, where the shop confirms its orders."""
    reported = [
        (visitor, step.at, False)
        for visitor, known in shoppers.items()
        for step in known.values()
        if step.kind == "purchase" and not orders.counts(visitor, order_of(step))
    ]
    schema = {"visitor": pl.String, "at": pl.Float64, "counted": pl.Boolean}
    uncounted = pl.DataFrame(reported, schema=schema, orient="row").unique()
    return steps.join(uncounted, on=["visitor", "at"], how="left", maintain_order="left").with_columns(
        pl.col("counted").fill_null(value=True)
    )


def _class(visitor: str, shares: int) -> int:
    """Which of so many equal shares of all visitors this one belongs to; that of twice as many halves it."""
    return crc32(visitor.encode()) % shares


def _step(received: Received) -> Step:
    happened = received.event
    if not isinstance(happened, CartAbandoned):
        return step_of(received)
    session = session_of(happened.session_id, happened.visitor_id, happened.left_at.timestamp())
    return Step(happened.due.timestamp(), received.id, "moment", session)


def horizon_of(steps: pl.DataFrame, wanted: timedelta = HORIZON) -> timedelta:
    """The horizon that a log can answer: `wanted`, but at most an eighth of its length."""
    happened = steps.filter(pl.col("kind") != "moment")["at"]
    return min(wanted, timedelta(seconds=(happened.max() - happened.min()) / 8)) if len(happened) else wanted


def points(steps: pl.DataFrame, *, horizon: timedelta | None = None) -> pl.DataFrame:
    """One row per moment in a shopper's visit: features, `label`, and where it belongs.

    `label` is 1 when the visitor buys within `horizon` after `at` (of the frame's purchases those that are `counted`,
    where it has that column); rows whose horizon is not over when the log ends are left out, bought or not. `carted`:
    there was something in the cart. `start`: when the session began, for temporal splits. Above 400,000 rows whole
    visitors are left out by hash, before anything is computed: no feature looks at another visitor.
    """
    horizon = horizon if horizon is not None else horizon_of(steps)
    happened = steps.filter(pl.col("kind") != "moment")["at"]
    end = happened.max() if len(happened) else 0.0
    bought = of("purchase") & pl.col("counted") if "counted" in steps.columns else of("purchase")
    upcoming = pl.when(bought).then("at").shift(-1).backward_fill().over("visitor")
    label = (upcoming - pl.col("at") <= horizon.total_seconds()).fill_null(value=False).cast(pl.Int8)
    labelled = _sampled(steps).with_columns(label=label, start=pl.col("at").min().over(*SESSION))
    return (
        with_features(labelled)
        .filter(of("purchase").not_(), pl.col("at") <= end - horizon.total_seconds())
        .select(
            *SESSION,
            "at",
            "start",
            "label",
            carted=pl.col(f"{ANSWER}cart_lines") > 0,
            **{name: pl.col(f"{ANSWER}{name}") for name in names()},
        )
        .sort("start", "session", "visitor", "at", maintain_order=True)
    )


def _sampled(steps: pl.DataFrame) -> pl.DataFrame:
    shares = -(-len(steps) // MOST_POINTS)
    return steps if shares <= 1 else steps.filter(pl.col("visitor").hash(seed=1) % shares == 0)
