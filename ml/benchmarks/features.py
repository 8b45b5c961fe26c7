"""How long the features of a long log take off line, and how much memory: on a made-up shop of any size."""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import msgspec

START = 1_760_000_000
DAYS = 30
STEPS_A_SESSION = 6
CHUNK = 1_000_000
"""Events that are made up at once."""


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """What it took: `rows` are steps and moments, `peak_bytes` the process's largest resident memory.

    `cpu_seconds` are those of all cores together; on a busy machine they are more meaningful than `seconds`.
    """

    events: int
    visitors: int
    rows: int
    features: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    log_bytes: int

    def lines(self) -> list[str]:
        """For a terminal."""
        took = f"{self.seconds:.1f} s ({self.cpu_seconds:.1f} s of CPU), {self.events / self.seconds:,.0f} events/s"
        return [
            f"{self.events:,} events of {self.visitors:,} visitors ({self.log_bytes / 2**20:,.0f} MB of Parquet)",
            f"{self.features} features of {self.rows:,} rows, from file to file: {took}",
            f"memory: at most {self.peak_bytes / 2**30:.2f} GB",
        ]


def evaluate(*, events: int = 10_000_000, seed: int = 1) -> Features:
    """Make up a log of so many events, and time all features of it in a process of their own, file to file.

    A month of a shop: shoppers who return, sessions of six steps on average, one step in twelve fills the
    cart, one in thirty buys. ValueError for fewer events than one.
    """
    if events < 1:
        raise ValueError(f"there is nothing to time in {events} events; ask for at least 1")
    with TemporaryDirectory(prefix="cartmesh-") as folder, ProcessPoolExecutor(1, get_context("spawn")) as apart:
        log = Path(folder) / "log.parquet"
        visitors = apart.submit(_write_log, log, events, seed).result()
        size = log.stat().st_size
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            rows, features, seconds, cpu, peak = fresh.submit(_timed, log, Path(folder) / "features").result()
    return Features(
        events=events,
        visitors=visitors,
        rows=rows,
        features=features,
        seconds=seconds,
        cpu_seconds=cpu,
        peak_bytes=peak,
        log_bytes=size,
    )


def _timed(log: Path, folder: Path) -> tuple[int, int, float, float, int]:
    """Rows, features, seconds and CPU seconds from the first import to the last file, peak memory in bytes."""
    began, worked = perf_counter(), process_time()
    from ml.clickstream.log_files import write_features  # noqa: PLC0415  saves start-up time
    from ml.features import names  # noqa: PLC0415  importing is part of what is timed

    rows = write_features(log, folder)
    return rows, len(names()), perf_counter() - began, process_time() - worked, _peak()


def _peak() -> int:
    """The largest resident memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would report the largest of the process this one was forked from
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource  # noqa: PLC0415  not everywhere

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _write_log(path: Path, events: int, seed: int) -> int:
    """A log of exactly `events` rows, in time order but for the sessions that overlap a border; its visitors."""
    import numpy as np  # noqa: PLC0415  every process may import this module
    import polars as pl  # noqa: PLC0415  saves start-up time

    rng = np.random.default_rng(seed)
    people = max(1, events // 12)
    chunks = -(-events // CHUNK)
    pieces, visitors = [], np.zeros(people, dtype=bool)
    for chunk in range(chunks):
        size = min(CHUNK, events - chunk * CHUNK)
        lengths = rng.geometric(1 / STEPS_A_SESSION, size)
        sessions = int(np.searchsorted(np.cumsum(lengths), size)) + 1
        session = np.repeat(np.arange(sessions), lengths[:sessions])[:size]
        who = (people * rng.random(sessions) ** 2).astype(np.int64)  # some come often
        began = START + DAYS * 86_400 * (chunk + rng.random(sessions)) / chunks
        gaps = rng.exponential(40, size).cumsum()
        first = np.searchsorted(session, np.arange(sessions))
        at = began[session] + gaps - gaps[first][session]
        visitors[who] = True
        piece = pl.DataFrame(
            {
                "event_time": (at * 1e6).astype(np.int64),
                "event_type": rng.choice(["view", "cart", "purchase"], size, p=[0.88, 0.085, 0.035]),
                "product_id": (rng.random(size) ** 3 * 50_000).astype(np.int64),
                "price": rng.gamma(2, 30, size).round(2),
                "user_id": who[session],
                "user_session": session + chunk * CHUNK,
                "device": rng.choice(["mobile", "desktop"], sessions)[session],
                "utc_offset": (who * 7919 % 27 * 60 - 720)[session],
            }
        )
        pieces.append(
            piece.sort("event_time").select(
                pl.col("event_time").cast(pl.Datetime("us", "UTC")),
                pl.exclude("event_time", "user_session"),
                pl.format("{}-{}", pl.col("user_session").hash(seed=0), "user_id").alias("user_session"),
            )
        )
    pl.concat(pieces).write_parquet(path)
    return int(visitors.sum())


if __name__ == "__main__":
    asked = int(sys.argv[sys.argv.index("--events") + 1].replace("_", "")) if "--events" in sys.argv else 10_000_000
    print("\n".join(evaluate(events=asked).lines()))
