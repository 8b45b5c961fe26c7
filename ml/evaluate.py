"""`cartmesh evaluate`: the models on public data, with the figures that publications give, so that anyone can check."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Protocol

import msgspec
from cyclopts import App, Parameter

from ml.benchmarks import BadFile


class Result(Protocol):
    """What a benchmark found."""

    def lines(self) -> list[str]:
        """For a terminal."""
        ...


def commands(app: App) -> None:
    """Add them to the root command."""
    group = App(name="evaluate", help="The models on public data, with figures to compare with published ones.")
    for command in (next_item, propensity, uplift, fraud, features, scoring):
        group.command(command, name=command.__name__.replace("_", "-"))
    app.command(group)


def next_item(
    *,
    train: Path | None = None,
    test: Path | None = None,
    click_log: Path | None = None,
    sample: int | None = None,
    seed: int = 7,
    json: Path | None = None,
) -> None:
    """How well the next product of a session is foreseen: HR@20, MRR@20, coverage, latency, index build time.

    Parameters
    ----------
    train
        Parquet with `session` and `items` (a list, in time order).
    test
        Parquet with `prefix` (a list, in time order) and `target`.
    click_log
        Instead of both: Parquet with SessionId, ItemId, Time and split (train, valid, test).
    sample
        How many test prefixes to draw; all when not given.
    seed
        Of the draw.
    json
        Write the figures there.
    """

    def measured() -> Result:
        from ml.benchmarks import next_item as benchmark  # noqa: PLC0415  heavy; for who measures

        return benchmark.evaluate(train=train, test=test, click_log=click_log, sample=sample, seed=seed)

    _report(measured, json)


def propensity(
    *, train: Path, test: Path, layout: Literal["cart-prefix", "online-shoppers"], json: Path | None = None
) -> None:
    """How well purchases are foreseen: ROC-AUC, PR-AUC, Brier, calibration error, lift of the top decile.

    Parameters
    ----------
    train
        Parquet to learn from.
    test
        Parquet to judge on; never seen before.
    layout
        What the columns mean: `cart-prefix` (RetailRocket sessions with a cart) or `online-shoppers` (UCI).
    json
        Write the figures there.
    """

    def measured() -> Result:
        from ml.benchmarks import propensity as benchmark  # noqa: PLC0415  saves start-up time

        return benchmark.evaluate(train=train, test=test, layout=layout)

    _report(measured, json)


def uplift(
    *,
    train: Path,
    test: Path,
    treatment: str,
    treated: str,
    control: str,
    outcome: str,
    exclude: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = (),
    seed: int = 7,
    json: Path | None = None,
) -> None:
    """Whether choosing recipients helps: normalised Qini and AUUC, uplift@30, intervals, and the decision.

    Parameters
    ----------
    train
        Parquet of a randomised test to learn from.
    test
        Parquet of the same to judge on.
    treatment
        The column that says what was done to whom.
    treated
        Its value for those who were treated.
    control
        Its value for those who were not.
    outcome
        The column that says whether it worked: 0 or 1.
    exclude
        Columns that must not be used, such as other outcomes; those of known data sets are left out anyway.
    seed
        Of folds and bootstrap.
    json
        Write the figures there.
    """

    def measured() -> Result:
        from ml.benchmarks import uplift as benchmark  # noqa: PLC0415  saves start-up time

        return benchmark.evaluate(
            train=train,
            test=test,
            treatment=treatment,
            treated=treated,
            control=control,
            outcome=outcome,
            exclude=exclude,
            seed=seed,
        )

    _report(measured, json)


def fraud(*, train: Path, test: Path, label: str, json: Path | None = None) -> None:
    """How well fraud is separated from the rest: ROC-AUC, PR-AUC, recall at a given share of alarms, cost of a call.

    Parameters
    ----------
    train
        Parquet of numbers to learn from.
    test
        Parquet to judge on.
    label
        The column that says 1 for fraud.
    json
        Write the figures there.
    """

    def measured() -> Result:
        from ml.benchmarks import fraud as benchmark  # noqa: PLC0415  saves start-up time

        return benchmark.evaluate(train=train, test=test, label=label)

    _report(measured, json)


def features(*, events: int = 10_000_000, seed: int = 7, json: Path | None = None) -> None:
    """How fast all features of a generated log are computed, and in how much memory.

    Parameters
    ----------
    events
        How many the log has.
    seed
        Of the log.
    json
        Write the figures there.
    """

    def measured() -> Result:
        from ml.benchmarks import features as benchmark  # noqa: PLC0415  saves start-up time

        return benchmark.evaluate(events=events, seed=seed)

    _report(measured, json)


def scoring(*, products: int = 100_000, events: int = 20_000, seed: int = 7, json: Path | None = None) -> None:
    """What an event costs scoring, with and without recommendations, and what a recommendation costs alone.

    Parameters
    ----------
    products
        How many the shop lists.
    events
        How many are scored.
    seed
        Of the shop and its shoppers.
    json
        Write the figures there.
    """

    def measured() -> Result:
        from ml.benchmarks import scoring as benchmark  # noqa: PLC0415  saves start-up time

        return benchmark.evaluate(products=products, events=events, seed=seed)

    _report(measured, json)


def _report(measure: Callable[[], Result], json: Path | None) -> None:
    # More threads than one only fight for the cores, and the figures would be of another machine than serving's.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        found = measure()
    except (BadFile, OSError) as error:
        sys.stderr.write(f"cartmesh: {error}\n")
        sys.exit(1)
    for line in found.lines():
        print(line)
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
