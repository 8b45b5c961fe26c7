"""Next item: from the beginning of a session, is what came next among the 20 recommended.

Two layouts: sessions as lists with test prefixes (as the SR-GNN split of Diginetica), or a log of clicks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ml.benchmarks import BadFile

if TYPE_CHECKING:
    import polars as pl

    from ml.models.sessions import Sessions

SHOWN = 20
Fitted = TypeVar("Fitted")


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """How well one model ranks, and how fast. Shares in 0..1 with their standard errors.

    `queries_per_second` is of one core's time; the percentiles are on the clock.
    """

    hit_rate: float
    hit_rate_error: float
    reciprocal_rank: float
    reciprocal_rank_error: float
    coverage: float
    p50_ms: float
    p99_ms: float
    queries_per_second: float
    build_seconds: float


class NextItem(msgspec.Struct, frozen=True, kw_only=True):
    """The blend, tuned on the newest training sessions, beside VMIS-kNN as published and the blend untuned."""

    clicks: int
    sessions: int
    items: int
    queries: int
    seed: int
    weights: dict[str, float]
    tuning_seconds: float
    blend: Ranked
    untuned: Ranked
    vmis: Ranked

    def lines(self) -> list[str]:
        """The figures for people."""
        rows = (("blend", self.blend), ("blend, default weights", self.untuned), ("VMIS-kNN alone", self.vmis))
        head = (
            f"{self.queries:,} queries; index of {self.clicks:,} clicks in {self.sessions:,} sessions, "
            f"{self.items:,} items; seed {self.seed}"
        )
        columns = f"{'':24}{'HR@20':>16}{'MRR@20':>15}" + "".join(
            f"{name:>10}" for name in ("coverage", "p50 ms", "p99 ms", "q/s/core", "build s")
        )
        figures = [
            f"{name:24}{one.hit_rate:>8.4f} ±{one.hit_rate_error:.4f}{one.reciprocal_rank:>7.4f} ±"
            f"{one.reciprocal_rank_error:.4f}{one.coverage:>10.3f}{one.p50_ms:>10.3f}{one.p99_ms:>10.3f}"
            f"{one.queries_per_second:>10,.0f}{one.build_seconds:>10.2f}"
            for name, one in rows
        ]
        weights = ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items())
        return [head, columns, *figures, f"weights, tuned in {self.tuning_seconds:.1f} s: {weights}"]


@dataclass(frozen=True, kw_only=True)
class _Task:
    """Training sessions and questions, all items numbered; numbers from `trained` on were never in training."""

    sessions: "Sessions"
    trained: int
    prefixes: list[list[int]]
    targets: list[int]


def evaluate(
    *, train: Path | None, test: Path | None, click_log: Path | None, sample: int | None, seed: int
) -> NextItem:
    """Tune, fit and ask. Either `train` and `test`, or `click_log`; `sample` asks that many test prefixes only."""
    from ml.models.blend import Blend  # noqa: PLC0415  needs numpy, which the command line does not
    from ml.models.repeats import own_items  # noqa: PLC0415  saves start-up time
    from ml.models.vmis import Vmis  # noqa: PLC0415  saves start-up time

    task = _drawn(_task(train, test, click_log), sample, seed)
    begun = perf_counter()
    tuned = Blend().tuned(task.sessions, seed=seed)
    tuning_seconds = perf_counter() - begun
    blend, built = _timed(lambda: tuned.fit(task.sessions))
    untuned, built_untuned = _timed(lambda: Blend().fit(task.sessions))
    alone, built_alone = _timed(lambda: Vmis().fit(task.sessions))
    return NextItem(
        clicks=len(task.sessions.items),
        sessions=len(task.sessions),
        items=task.trained,
        queries=len(task.targets),
        seed=seed,
        weights=dict(tuned.weights),
        tuning_seconds=round(tuning_seconds, 3),
        blend=_ranked(lambda prefix: blend.predict(prefix, most=SHOWN), task, built),
        untuned=_ranked(lambda prefix: untuned.predict(prefix, most=SHOWN), task, built_untuned),
        vmis=_ranked(lambda prefix: alone.predict(own_items(prefix)[0], most=SHOWN), task, built_alone),
    )


def _timed(work: "Callable[[], Fitted]") -> "tuple[Fitted, float]":
    begun = perf_counter()
    return work(), perf_counter() - begun


def _ranked(predict: Callable[[list[int]], list[int]], task: _Task, build_seconds: float) -> Ranked:
    import numpy as np  # noqa: PLC0415  saves start-up time

    for prefix in task.prefixes[:50]:
        predict(prefix)
    shown: set[int] = set()
    clock, gains = [], np.zeros(len(task.targets))
    busy = 0.0
    for at, (prefix, target) in enumerate(zip(task.prefixes, task.targets, strict=True)):
        begun, begun_busy = perf_counter(), process_time()
        found = predict(prefix)
        busy += process_time() - begun_busy
        clock.append(perf_counter() - begun)
        shown.update(found)
        if target in found:
            gains[at] = 1 / (found.index(target) + 1)
    hits, count = gains > 0, len(gains)
    p50, p99 = np.quantile(clock, [0.5, 0.99]).tolist()
    return Ranked(
        hit_rate=round(float(hits.mean()), 6),
        hit_rate_error=round(float(hits.std() / count**0.5), 6),
        reciprocal_rank=round(float(gains.mean()), 6),
        reciprocal_rank_error=round(float(gains.std() / count**0.5), 6),
        coverage=round(sum(item < task.trained for item in shown) / task.trained, 6),
        p50_ms=round(p50 * 1e3, 4),
        p99_ms=round(p99 * 1e3, 4),
        queries_per_second=round(count / max(busy, 1e-9), 1),
        build_seconds=round(build_seconds, 4),
    )


def _task(train: Path | None, test: Path | None, click_log: Path | None) -> _Task:
    if click_log is not None and train is None and test is None:
        return _from_clicks(click_log)
    if click_log is None and train is not None and test is not None:
        return _from_lists(train, test)
    raise BadFile("give either --train and --test, or --click-log alone")


def _drawn(task: _Task, sample: int | None, seed: int) -> _Task:
    """The same task with `sample` of its questions."""
    import numpy as np  # noqa: PLC0415  saves start-up time

    if sample is None or sample >= len(task.targets):
        return task
    if sample < 1:
        raise BadFile(f"--sample is a number of test prefixes from 1, not {sample}")
    drawn = np.random.default_rng(seed).permutation(len(task.targets))[:sample].tolist()
    prefixes, targets = [task.prefixes[at] for at in drawn], [task.targets[at] for at in drawn]
    return _Task(sessions=task.sessions, trained=task.trained, prefixes=prefixes, targets=targets)


def _from_lists(train: Path, test: Path) -> _Task:
    import numpy as np  # noqa: PLC0415  saves start-up time
    import polars as pl  # noqa: PLC0415  saves start-up time

    from ml.models.sessions import Sessions  # noqa: PLC0415  saves start-up time

    sessions, asked = _read(train, "items"), _read(test, "prefix", "target")
    for path, frame, column in ((train, sessions, "items"), (test, asked, "prefix")):
        if not isinstance(frame.schema[column], pl.List):
            raise BadFile(f"{path}: `{column}` must be a list of item ids, not {frame.schema[column]}")
    if "time" in sessions.columns:
        sessions = sessions.sort("time", maintain_order=True)
    sessions = sessions.filter(pl.col("items").list.len() > 0)
    _must_hold(train, sessions, "sessions with items")
    _must_hold(test, asked, "prefixes")
    lengths = sessions["items"].list.len().to_numpy()
    prefix_lengths = asked["prefix"].list.len().to_numpy()
    clicks = sessions["items"].explode()
    asked_items = asked["prefix"].filter(asked["prefix"].list.len() > 0).explode()
    items, prefix_items, targets = _numbered([(train, clicks), (test, asked_items), (test, asked["target"])])
    known = int(max(items.max(), prefix_items.max(initial=0))) + 1
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    return _Task(
        sessions=Sessions(items=items, starts=starts, known=known),
        trained=int(items.max()) + 1,
        prefixes=[part.tolist() for part in np.split(prefix_items, np.cumsum(prefix_lengths)[:-1])],
        targets=targets.tolist(),
    )


def _from_clicks(path: Path) -> _Task:
    import polars as pl  # noqa: PLC0415  saves start-up time

    from ml.models.sessions import Sessions  # noqa: PLC0415  saves start-up time

    clicks = _read(path, "SessionId", "ItemId", "Time", "split")
    if clicks["Time"].dtype.is_float() and not clicks["Time"].is_finite().all():
        raise BadFile(f"{path}: `Time` holds NaN or infinities")
    clicks = clicks.sort("Time", maintain_order=True)
    trained, asked = clicks.filter(pl.col("split") == "train"), clicks.filter(pl.col("split") == "test")
    _must_hold(path, trained, "clicks whose `split` is `train`")
    owners, asked_owners = _numbered([(path, trained["SessionId"]), (path, asked["SessionId"])])
    items, asked_items = _numbered([(path, trained["ItemId"]), (path, asked["ItemId"])])
    known = int(max(items.max(), asked_items.max(initial=0))) + 1
    questioned = Sessions.of(asked_owners, asked_items, known=known)
    prefixes, targets = [], []
    for start, stop in zip(questioned.starts[:-1].tolist(), questioned.starts[1:].tolist(), strict=True):
        session = questioned.items[start:stop].tolist()
        prefixes += [session[:place] for place in range(1, len(session))]
        targets += session[1:]
    if not targets:
        raise BadFile(f"{path}: no session of the split `test` has two clicks, so there is nothing to ask")
    sessions = Sessions.of(owners, items, known=known)
    return _Task(sessions=sessions, trained=int(items.max()) + 1, prefixes=prefixes, targets=targets)


def _read(path: Path, *columns: str) -> "pl.DataFrame":
    import polars as pl  # noqa: PLC0415  saves start-up time

    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadFile(f"{path}: cannot be read as Parquet: {error}") from None
    lacking = [column for column in columns if column not in frame.columns]
    if lacking:
        raise BadFile(f"{path}: lacks the columns {', '.join(lacking)}; it has {', '.join(frame.columns)}")
    for column in columns:
        if frame[column].null_count():
            raise BadFile(f"{path}: `{column}` holds {frame[column].null_count()} nulls; leave those rows out")
    return frame


def _must_hold(path: Path, frame: "pl.DataFrame", what: str) -> None:
    if frame.is_empty():
        raise BadFile(f"{path}: holds no {what}")


def _numbered(columns: "list[tuple[Path, pl.Series]]") -> list[Any]:
    """Ids of any type as numbers from 0, in the order of first use through all columns."""
    import numpy as np  # noqa: PLC0415  saves start-up time
    import polars as pl  # noqa: PLC0415  saves start-up time

    for path, column in columns:
        if not (column.dtype.is_integer() or column.dtype == pl.String or column.is_empty()):
            raise BadFile(f"{path}: ids must be whole numbers or text, not {column.dtype}")
        if column.null_count():
            raise BadFile(f"{path}: an id is null")
    kinds = {column.dtype.is_integer() for _, column in columns if not column.is_empty()}
    if len(kinds) > 1:
        raise BadFile(f"{columns[0][0]} and {columns[-1][0]}: ids are whole numbers here and text there")
    kind = pl.Int64 if kinds == {True} else pl.String
    ids = pl.concat([column.cast(kind).alias("id") for _, column in columns])
    vocabulary = ids.unique(maintain_order=True).to_frame().with_row_index("number")
    numbers = ids.to_frame().join(vocabulary, on="id", how="left", maintain_order="left")["number"]
    bounds = np.cumsum([len(column) for _, column in columns])[:-1]
    return np.split(numbers.to_numpy().astype(np.intp), bounds)
