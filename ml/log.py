"""A shop's log in a file: Parquet or CSV in, frames of steps out, whole or part by part in bounded memory."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from ml.frame import COLUMNS, IDLE, SESSION, ordered, with_features, with_moments
from ml.lookback import of
from ml.steps import EAST, MOST_PRICE, MOST_WORTH, WEST

REQUIRED = ("event_time", "event_type", "product_id", "price", "user_id", "user_session")
OPTIONAL = {"device": pl.String, "referrer": pl.String, "utc_offset": pl.Int64}
PART = 1_000_000
"""Rows of a log that are held in memory at once."""


class UnreadableLog(ValueError):
    """A file that is no log of a shop; the message says what it should hold."""


def from_file(path: str | Path, *, idle: timedelta = IDLE, most: int | None = None) -> pl.DataFrame:
    """A log in Parquet or CSV with the columns `REQUIRED`, and `device`, `referrer`, `utc_offset` where known.

    A `cart` row is a product that joins its session's cart, the `purchase` rows of one time are an order and
    empty it; `idle` after the last touch of a filled cart there is a moment. Unusable prices count as 0, rows
    without time or user are left out. Of a log of more than `most` rows whole visitors are left out, by hash.
    UnreadableLog names what is missing.
    """
    log = _scanned(Path(path))
    try:
        rows = log.select(pl.len()).collect().item() if most else 0
        if most and rows > most:
            log = log.filter(pl.col("visitor").hash(seed=1) % -(-rows // most) == 0)
        return _steps(log.collect(engine="streaming"), idle=idle)
    except pl.exceptions.PolarsError as error:
        raise UnreadableLog(f"{path} cannot be read as a log: {error}") from error


def parts(path: str | Path, *, idle: timedelta = IDLE, rows: int = PART) -> Iterator[pl.DataFrame]:
    """The same frame in parts of about `rows` rows: every visitor is whole in one of them.

    The log is read once, in a stream, and laid down by hash of visitor in a temporary folder (`TMPDIR`).
    """
    log = _scanned(Path(path))
    try:
        count = -(-log.select(pl.len()).collect().item() // rows)
        if count <= 1:
            yield _steps(log.collect(engine="streaming"), idle=idle)
            return
        with TemporaryDirectory(prefix="cartmesh-") as folder:
            part = (pl.col("visitor").hash(seed=2) % count).cast(pl.UInt32)
            log.with_columns(part=part).sink_parquet(
                pl.PartitionBy(folder, key="part", include_key=False), compression="lz4", mkdir=True
            )
            for piece in sorted(Path(folder).iterdir()):
                yield _steps(pl.read_parquet(piece, hive_partitioning=False), idle=idle)
    except pl.exceptions.PolarsError as error:
        raise UnreadableLog(f"{path} cannot be read as a log: {error}") from error


def write_features(log: str | Path, folder: str | Path, *, idle: timedelta = IDLE, rows: int = PART) -> int:
    """Every row of a log with all features, as Parquet files in `folder`; how many rows that are."""
    folder, written = Path(folder), 0
    folder.mkdir(parents=True, exist_ok=True)
    for at, steps in enumerate(parts(log, idle=idle, rows=rows)):
        known = with_features(steps)
        known.write_parquet(folder / f"part-{at:05}.parquet", compression="lz4", statistics=False)
        written += len(known)
    return written


def _scanned(path: Path) -> pl.LazyFrame:
    """The log's columns under our names and types, in the file's order."""
    try:
        log = pl.scan_csv(path) if path.suffix.lower() == ".csv" else pl.scan_parquet(path)
        held = log.collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnreadableLog(f"{path} cannot be read as Parquet or CSV: {error}") from error
    if missing := [name for name in REQUIRED if name not in held]:
        raise UnreadableLog(f"{path} has no column {', '.join(missing)}; a log has {', '.join(REQUIRED)}")
    time = pl.col("event_time")
    if held["event_time"] == pl.String:
        time = time.str.replace(" UTC", "", literal=True).str.to_datetime(strict=False, time_unit="us")
    price = pl.col("price").cast(pl.Float64, strict=False)
    user, session = pl.col("user_id").cast(pl.String), pl.col("user_session").cast(pl.String)
    visitor, at = pl.coalesce(user, session), time.dt.epoch("us") / 1e6
    offset = _optional("utc_offset", held)
    return log.select(
        visitor=visitor,
        session=pl.coalesce(session, pl.format("{}:{}", visitor, (at // 86_400).cast(pl.Int64))),
        at=at,
        kind=pl.col("event_type").cast(pl.String).cast(COLUMNS["kind"], strict=False),
        product=pl.col("product_id").cast(pl.String),
        price=pl.when(price.is_finite() & price.is_between(0, MOST_PRICE)).then(price).otherwise(0.0),
        device=_optional("device", held),
        referrer=_optional("referrer", held),
        utc_offset=pl.when(offset.is_between(WEST, EAST)).then(offset),
    ).filter(of("view", "cart", "purchase"), pl.col("visitor").is_not_null(), pl.col("at").is_not_null())


def _optional(name: str, held: pl.Schema) -> pl.Expr:
    return pl.col(name).cast(OPTIONAL[name], strict=False) if name in held else pl.lit(None, OPTIONAL[name])


def _steps(log: pl.DataFrame, *, idle: timedelta) -> pl.DataFrame:
    return with_moments(_with_carts(ordered(log)), idle=idle)


def _with_carts(steps: pl.DataFrame) -> pl.DataFrame:
    """Rows of one order become one; each product joins a cart once between two purchases."""
    steps = steps.with_row_index("row")
    touches = _touches(steps)
    return (
        steps.join(touches, on="row", how="left", maintain_order="left", suffix="_touched")
        .filter(of("purchase").not_() | pl.col("kind_touched").is_not_null())
        .with_columns(
            kind=pl.coalesce("kind_touched", "kind"),
            price=pl.coalesce("price_touched", "price"),
            cart_lines=pl.col("cart_lines").fill_null(0),
            cart_value=pl.col("cart_value").fill_null(0.0),
        )
        .select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())
    )


def _touches(steps: pl.DataFrame) -> pl.DataFrame:
    """What cart and purchase rows really are: `row, kind, price, cart_lines, cart_value`."""
    bought, carted = of("purchase"), of("cart") & pl.col("product").is_not_null()
    lap = (*SESSION, "lap")
    joined = carted & (carted.cast(pl.Int64).cum_sum().over(*lap, "product") == 1)
    worth = (pl.col("joined") * pl.col("price")).cum_sum().over(*lap)
    total = pl.col("price").sum().over(*SESSION, "at", "kind")
    return (
        steps.filter(of("cart", "purchase"))
        .with_columns(price=pl.when(bought).then(total.clip(upper_bound=MOST_PRICE)).otherwise("price"))
        .filter(~bought | pl.struct(*SESSION, "at", "kind").is_first_distinct())
        .with_columns(lap=bought.cast(pl.Int64).cum_sum().shift(1, fill_value=0).over(*SESSION))
        .with_columns(joined=joined)
        .select(
            "row",
            kind=pl.when(of("cart") & ~pl.col("joined")).then(pl.lit("change", COLUMNS["kind"])).otherwise("kind"),
            price="price",
            cart_lines=pl.when(bought).then(0).otherwise(pl.col("joined").cast(pl.Int64).cum_sum().over(*lap)),
            cart_value=pl.when(bought).then(0.0).otherwise(worth.clip(upper_bound=MOST_WORTH)),
        )
    )
