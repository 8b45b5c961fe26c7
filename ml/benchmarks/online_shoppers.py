"""Online Shoppers (UCI 468): sessions of one shop over a year, month by month, and which end in a purchase.

What names a month, a browser, a region or a source of traffic is left out: those numbers are names, and what they
mean changes from month to month, while this is learnt from earlier months and judged on later ones.
"""

from pathlib import Path

import numpy as np
import polars as pl

from ml.benchmarks import BadFile
from ml.benchmarks.examples import Examples, labels, numbers, read

PAGES = ("Administrative", "Informational", "ProductRelated")
COUNTED = (*PAGES, *(f"{page}_Duration" for page in PAGES), "BounceRates", "ExitRates", "PageValues")
KNOWN = ("Month", "VisitorType", "Weekend", "Revenue")
YEAR = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
NEWEST = 0.15
"""The newest months with at least this share of the rows are what probabilities are calibrated on."""


def examples(train: Path, test: Path) -> tuple[Examples, Examples]:
    """Rows to learn from and to judge on."""
    return _examples(train), _examples(test)


def _examples(path: Path) -> Examples:
    frame = read(path, (*COUNTED, *KNOWN))
    inputs = with_rates(numbers(frame, COUNTED, path))
    return Examples(
        features=tuple(inputs.columns),
        rows=inputs.to_numpy(),
        labels=labels(frame, "Revenue", path),
        newest=newest(frame["Month"], path),
    )


def newest(months: pl.Series, path: Path) -> np.ndarray:
    """Which rows (n,) are of the newest months. BadFile for what is no English month."""
    number = (
        months.cast(pl.String)
        .str.to_lowercase()
        .str.slice(0, 3)
        .replace_strict(dict(zip(YEAR, range(12), strict=True)), default=None)
    )
    if number.is_null().any():
        odd = months.filter(number.is_null()).unique().to_list()
        raise BadFile(f"{path.name}: Month must be an English month such as Sep, not {odd[0]!r}")
    return (number >= number.quantile(1 - NEWEST, "lower")).to_numpy()


def with_rates(frame: pl.DataFrame) -> pl.DataFrame:
    """The inputs: what is counted, and rates that mean the same for short and for long sessions."""
    pages = sum((pl.col(page) for page in PAGES[1:]), pl.col(PAGES[0]))
    spent = sum((pl.col(f"{page}_Duration") for page in PAGES[1:]), pl.col(f"{PAGES[0]}_Duration"))
    product, exits = pl.col("ProductRelated"), pl.col("ExitRates")
    return frame.select(
        *COUNTED,
        new_visitor=pl.col("VisitorType").cast(pl.String) == "New_Visitor",
        weekend=pl.col("Weekend"),
        pages=pages,
        seconds=spent,
        seconds_per_product=pl.col("ProductRelated_Duration") / product.clip(1),
        seconds_per_account_page=pl.col("Administrative_Duration") / pl.col("Administrative").clip(1),
        account_share=pl.col("Administrative") / pages.clip(1),
        exits_beyond_bounces=exits - pl.col("BounceRates"),
        exits_seen=exits * product,
    ).cast(pl.Float64)
