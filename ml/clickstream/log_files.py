"""A shop's log in a file: Parquet or CSV in, frames of steps out, whole or part by part in bounded memory."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from mesh.observability.logs import log
from mesh.shop_logs.log import Demand, opened
from mesh.shop_logs.style import Style, UnreadableLog
from ml.clickstream.feature_table import (
    ANSWER,
    COLUMNS,
    IDLE,
    SESSION,
    left,
    ordered,
    with_features,
    with_questions,
    with_trips,
)
from ml.clickstream.lookback import of, so_far, total
from ml.clickstream.steps import EAST, MOST_PRICE, MOST_WORTH, WEST

REQUIRED = ("event_time", "event_type", "product_id", "price", "user_id", "user_session")
DEMAND = Demand(columns=REQUIRED, kinds=("view", "cart", "purchase"), fields=(("user_id", "user_session"),))
MOST_ROWS = 1_000_000
"""Rows of a log that are held as one frame: several times what a model learns from."""
PART = 500_000
"""Rows of a log that are worked on as one."""
AT_ONCE = 2


def from_file(
    path: str | Path, *, idle: timedelta = IDLE, most: int = MOST_ROWS, style: Style | None = None
) -> pl.DataFrame:
    """A log in Parquet or text with the columns `REQUIRED`, and `device`, `referrer`, `utc_offset` where known.

    A `cart` row is a product that joins its session's cart, the `purchase` rows of one time are an order and
    empty it; `idle` after the last touch of a filled cart there is a moment. Unusable prices count as 0. Rows that
    cannot be used are left out, and a warning says how many and why. Of a log of more than `most` rows whole
    visitors are left out, by hash. See `mesh.shop_logs` for what is understood.
    UnreadableLog names what is missing.
    """
    with _scanned(Path(path), style) as (whole, rows):
        shares = -(-rows // most)
        kept = whole if shares <= 1 else whole.filter(pl.col("visitor").hash(seed=1) % shares == 0)
        with _readable(path):
            read = kept.collect(engine="streaming")
    return _steps(read, idle=idle)


def parts(path: str | Path, *, idle: timedelta = IDLE, rows: int = PART) -> Iterator[pl.DataFrame]:
    """The same frame in parts of about `rows` rows: every visitor is whole in one of them.

    The log is read once, in a stream, and laid down by hash of visitor in a temporary folder (`TMPDIR`).
    """
    with _laid_down(Path(path), rows=rows) as pieces:
        for piece in pieces:
            with _readable(path):
                log = piece.collect(engine="streaming")
            yield _steps(log, idle=idle)


def write_features(log: str | Path, folder: str | Path, *, idle: timedelta = IDLE, rows: int = PART) -> int:
    """Where and when of every row of a log with all its features, as Parquet in `folder`; how many rows that are.

    Two parts are worked on at a time: what polars does in one thread in the one goes on beside the other.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def write(piece: pl.LazyFrame, at: int) -> int:
        with _readable(log):
            read = piece.collect(engine="streaming")
        known = with_features(_steps(read, idle=idle))
        known = known.select(*SESSION, "at", "kind", pl.col(f"^{ANSWER}.*$"))
        known.write_parquet(folder / f"part-{at:05}.parquet", compression="lz4", statistics=False)
        return len(known)

    with _laid_down(Path(log), rows=rows) as pieces, ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(write, pieces, range(len(pieces))))


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnreadableLog(f"{path} cannot be read as Parquet or CSV: {error}") from error


@contextmanager
def _laid_down(path: Path, *, rows: int) -> Iterator[list[pl.LazyFrame]]:
    """A log in pieces of about `rows` rows with whole visitors."""
    with _scanned(path, None) as (whole, count), TemporaryDirectory(prefix="cartmesh-") as folder:
        pieces = -(-count // rows)
        if pieces <= 1:
            yield [whole]
            return
        piece = (pl.col("visitor").hash(seed=2) % pieces).cast(pl.UInt32)
        laid = pl.PartitionBy(folder, key="piece", include_key=False)
        with _readable(path):
            whole.with_columns(piece=piece).sink_parquet(laid, compression="lz4", statistics=False)
        yield [pl.scan_parquet(found, hive_partitioning=False) for found in sorted(Path(folder).iterdir())]


@contextmanager
def _scanned(path: Path, style: Style | None) -> Iterator[tuple[pl.LazyFrame, int]]:
    """The log's columns under our names and types, in the file's order, and how many rows of it are used."""
    with opened(path, DEMAND, style=style) as shop_log:
        if shop_log.account.left_out or shop_log.account.notes:
            log.warning("rows of a log were left out or noted", file=str(path), account=shop_log.account.lines())
        price, offset = (pl.col(name).cast(pl.Float64, strict=False) for name in ("price", "utc_offset"))
        offset = offset.cast(pl.Int64, strict=False)
        steps = shop_log.frame.select(
            visitor=pl.coalesce("user_id", "user_session"),
            session="user_session",
            at=pl.col("event_time").dt.epoch("us") / 1e6,
            kind=pl.col("event_type").cast(COLUMNS["kind"]),
            product="product_id",
            price=pl.when(price.is_finite() & price.is_between(0, MOST_PRICE)).then(price).otherwise(0.0),
            device="device",
            referrer="referrer",
            utc_offset=pl.when(offset.is_between(WEST, EAST)).then(offset),
        )
        yield steps, shop_log.account.used


def _steps(log: pl.DataFrame, *, idle: timedelta) -> pl.DataFrame:
    """The log in order, its carts kept: rows of one order are one, and a product joins once between two orders."""
    if log["session"].null_count():  # seldom, and naming the visitor's day costs as much as reading
        day = pl.format("{}:{}", "visitor", (pl.col("at") // 86_400).cast(pl.Int64))
        log = log.with_columns(session=pl.coalesce("session", day))
    rows = log.with_row_index("row")
    touches = _touches(with_trips(ordered(rows.filter(of("cart", "purchase")))))
    steps = (
        rows.join(touches.drop("trip", *SESSION, "at"), on="row", how="left", maintain_order="left", suffix="_touched")
        .filter(of("purchase").not_() | pl.col("kind_touched").is_not_null())
        .with_columns(
            kind=pl.coalesce("kind_touched", "kind"),
            price=pl.coalesce("price_touched", "price"),
            cart_lines=pl.col("cart_lines").fill_null(0),
            cart_value=pl.col("cart_value").fill_null(0.0),
        )
    )
    return with_questions(steps, left(touches, idle=idle))


def _touches(touches: pl.DataFrame) -> pl.DataFrame:
    """What cart and purchase rows really are: `row, trip`, where and when, `kind, price, cart_lines, cart_value`."""
    orders = touches.filter(of("purchase")).group_by("trip", "at").agg(pl.first("row"), total=pl.sum("price"))
    product = pl.col("product").cast(pl.Categorical).to_physical().cast(pl.UInt64)
    worth = pl.when("joined").then((pl.col("price") * 10_000).round().cast(pl.Int64)).otherwise(0)
    return (
        touches.join(orders.select("row", "total"), on="row", how="left", maintain_order="left")
        .filter(of("cart") | pl.col("total").is_not_null())
        .sort("trip", maintain_order=True)
        .with_columns(ends=of("purchase"), begins=pl.col("trip") != pl.col("trip").shift(1, fill_value=2**32 - 1))
        .with_columns(begins=pl.col("begins") | pl.col("ends").shift(1, fill_value=True))
        .with_columns(key=pl.when(of("cart")).then(pl.col("begins").cum_sum().cast(pl.UInt64) * 2**32 + product))
        .with_columns(joined=pl.col("key").is_first_distinct() & pl.col("key").is_not_null())
        .with_columns(cart_lines=so_far(pl.col("joined")), cart_value=total(worth) / 10_000)
        .select(
            "row",
            "trip",
            *SESSION,
            "at",
            price=pl.coalesce(pl.col("total").clip(upper_bound=MOST_PRICE), "price"),
            kind=pl.when(of("cart") & ~pl.col("joined")).then(pl.lit("change", COLUMNS["kind"])).otherwise("kind"),
            cart_lines=pl.when("ends").then(0).otherwise("cart_lines"),
            cart_value=pl.when("ends").then(0.0).otherwise(pl.col("cart_value").clip(upper_bound=MOST_WORTH)),
        )
    )
