"""A basis: columns as standardised numbers that a linear model can bend with; numpy only, so that it serves.

A column of few values becomes one indicator per value, any other a line with a bend at each quartile, on a
logarithmic scale where it is skewed. Values beyond what was seen count as the outermost seen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ml.models.artifact import ArtifactRefused

Floats = NDArray[np.float64]
FEW = 8
"""Values up to which a column is taken as kinds and not as a quantity."""
OUTER = (0.005, 0.995)
"""Quantiles beyond which a quantity is cut."""
CLOSE = 1e-9
"""Difference up to which two values are the same kind."""
LINE, BEND, KIND = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class BasisExpansion:
    """`terms` numbers made of `features` columns, each array (terms,).

    `source` is the column of a term, `shape` whether it is the line, a bend at `point` or the indicator of
    the value `point`; `logged` whether log(1 + value) is taken first, `low` and `high` where values are cut;
    `mean` and `scale` standardise the result.
    """

    features: int
    source: NDArray[np.int64]
    shape: NDArray[np.int64]
    logged: NDArray[np.bool_]
    low: Floats
    high: Floats
    point: Floats
    mean: Floats
    scale: Floats

    @property
    def terms(self) -> int:
        """How many numbers a row becomes."""
        return len(self.source)

    def rows(self, rows: Floats) -> Floats:
        """Rows (n, features) as (n, terms); what is not known (NaN) as the mean. ValueError for another width."""
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise ValueError(f"rows of shape {rows.shape} for {self.features} features")
        return np.nan_to_num((self._raw(rows) - self.mean) / self.scale, nan=0.0)

    def _raw(self, rows: Floats) -> Floats:
        values = np.minimum(np.maximum(rows[:, self.source], self.low), self.high)
        values[:, self.logged] = np.log1p(np.maximum(values[:, self.logged], 0.0))
        bends, kinds = self.shape == BEND, self.shape == KIND
        values[:, bends] = np.maximum(values[:, bends] - self.point[bends], 0.0)
        here = values[:, kinds]
        values[:, kinds] = np.where(np.isnan(here), here, np.abs(here - self.point[kinds]) <= CLOSE)
        return values

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, for an artifact."""
        return {f"basis_{one.name}": getattr(self, one.name) for one in fields(self) if one.name != "features"}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], *, features: int) -> Self:
        """A basis from arrays by name. ArtifactRefused unless every row of `features` numbers has finite terms."""
        names = [one.name for one in fields(cls) if one.name != "features"]
        if lacking := [name for name in names if f"basis_{name}" not in arrays]:
            raise ArtifactRefused(f"its basis lacks {', '.join(lacking)}")
        columns = {name: arrays[f"basis_{name}"] for name in names}
        terms = columns["source"].shape
        if len(terms) != 1 or any(array.shape != terms for array in columns.values()):
            raise ArtifactRefused("the arrays of its basis do not fit together")
        source = columns["source"]
        if source.dtype.kind not in "iu" or (len(source) and not 0 <= source.min() <= source.max() < features):
            raise ArtifactRefused("its basis asks for features that there are not")
        if not all(np.isfinite(array).all() for array in columns.values()) or not (columns["scale"] > 0).all():
            raise ArtifactRefused("the numbers of its basis are not finite")
        kinds = {"source": np.int64, "shape": np.int64, "logged": np.bool_}
        return cls(features=features, **{name: columns[name].astype(kinds.get(name, np.float64)) for name in names})


def fitted(rows: Floats) -> BasisExpansion:
    """The basis of rows (n, features); columns that never vary have no term. NaN is what is not known."""
    terms = [(at, *term) for at in range(rows.shape[1]) for term in _terms(rows[:, at])]
    columns = list(zip(*terms, strict=True)) or [()] * 6
    source, shape, logged, low, high, point = (np.array(column) for column in columns)
    basis = BasisExpansion(
        features=rows.shape[1],
        source=source.astype(np.int64),
        shape=shape.astype(np.int64),
        logged=logged.astype(np.bool_),
        low=low.astype(np.float64),
        high=high.astype(np.float64),
        point=point.astype(np.float64),
        mean=np.zeros(len(source)),
        scale=np.ones(len(source)),
    )
    return _standardised(basis, rows)


def _standardised(basis: BasisExpansion, rows: Floats) -> BasisExpansion:
    raw = basis._raw(rows)  # noqa: SLF001  of this module
    known = ~np.isnan(raw)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, raw, 0.0).sum(axis=0) / count
    scale = np.sqrt(np.where(known, (raw - mean) ** 2, 0.0).sum(axis=0) / count)
    kept = scale > 1e-9
    arrays = {one.name: getattr(basis, one.name)[kept] for one in fields(basis) if one.name != "features"}
    arrays |= {"mean": mean[kept], "scale": scale[kept]}
    return BasisExpansion(features=basis.features, **arrays)


def _terms(column: Floats) -> Iterator[tuple[int, bool, float, float, float]]:
    """Shape, logged, low, high and point of each term of a column."""
    seen = column[np.isfinite(column)]
    values = np.unique(seen)
    if len(values) < 2:
        return
    if len(values) <= FEW:
        low, high = float(values[0]), float(values[-1])
        for value in values[1:] if len(values) == 2 else values:
            yield KIND, False, low, high, float(value)
        return
    low, high = (float(edge) for edge in np.quantile(seen, OUTER))
    logged = bool(low >= 0 and seen.mean() > 1.2 * np.median(seen))
    yield LINE, logged, low, high, 0.0
    cut = np.clip(seen, low, high)
    cut = np.log1p(cut) if logged else cut
    for point in np.unique(np.quantile(cut, [0.25, 0.5, 0.75])):
        if cut.min() < point < cut.max():
            yield BEND, logged, low, high, float(point)
