"""Boosted trees as plain arrays: what a forest learnt, whatever runs it.

Every tree is padded to a complete binary tree, so that children are found by arithmetic. A padded node
sends everything left to a copy of its own value.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ml.models.artifact import ArtifactRefused

Floats = NDArray[np.float64]
_ARRAYS = ("feature", "threshold", "unknown_left", "value")


@dataclass(frozen=True, kw_only=True)
class Trees:
    """`feature`, `threshold`, `unknown_left` (trees, 2**depth - 1), `value` (trees, 2**(depth + 1) - 1) in log-odds.

    A row goes left where it is at most the threshold, and where it is NaN and `unknown_left` says so: the way
    most rows went in training. `baseline` is the score before any tree, `features` how many columns a row has.
    """

    feature: NDArray[np.int32]
    threshold: Floats
    unknown_left: NDArray[np.bool_]
    value: Floats
    baseline: float
    features: int

    def arrays(self, prefix: str = "") -> dict[str, NDArray[Any]]:
        """The arrays by name, for an artifact."""
        return {f"{prefix}{name}": getattr(self, name) for name in _ARRAYS}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], *, baseline: float, features: int, prefix: str = "") -> Self:
        """Trees from arrays by name. ArtifactRefused unless walking them stays inside them and gives finite numbers."""
        lacking = [name for name in _ARRAYS if f"{prefix}{name}" not in arrays]
        if lacking:
            raise ArtifactRefused(f"its trees lack {', '.join(lacking)}")
        feature, threshold, unknown_left, value = (arrays[f"{prefix}{name}"] for name in _ARRAYS)
        if not all(array.ndim == 2 for array in (feature, threshold, unknown_left, value)):
            raise ArtifactRefused("its arrays are not numbers in rows")
        count, nodes = value.shape
        inner = (count, (nodes - 1) // 2)
        if not count or not nodes:
            raise ArtifactRefused("it holds no trees")
        if (nodes + 1) & nodes or any(array.shape != inner for array in (feature, threshold, unknown_left)):
            raise ArtifactRefused("its arrays do not fit together")
        if feature.dtype.kind not in "iu" or (feature.size and not 0 <= feature.min() <= feature.max() < features):
            raise ArtifactRefused("its trees ask for features that there are not")
        if np.isnan(threshold).any() or not (np.isfinite(value).all() and np.isfinite(baseline)):
            raise ArtifactRefused("its values are not finite")
        return cls(
            feature=feature.astype(np.int32),
            threshold=threshold.astype(np.float64),
            unknown_left=unknown_left.astype(np.bool_),
            value=value.astype(np.float64),
            baseline=float(baseline),
            features=features,
        )


@dataclass(frozen=True)
class Node:
    """A node of a tree that was learnt: a leaf when `left` is 0. `count` is how many rows it saw."""

    feature: int
    threshold: float
    unknown_left: bool
    left: int
    right: int
    value: float
    count: int


def padded(forest: Iterable[list[Node]], *, baseline: float, features: int) -> Trees:
    """Learnt trees (the root first) as arrays; inner nodes get the mean of their leaves."""
    forest = list(forest)
    depth = max((_depth(tree, 0) for tree in forest), default=0)
    inner, nodes = 2**depth - 1, 2 ** (depth + 1) - 1
    trees = Trees(
        feature=np.zeros((len(forest), inner), dtype=np.int32),
        threshold=np.full((len(forest), inner), np.inf),
        unknown_left=np.ones((len(forest), inner), dtype=np.bool_),
        value=np.zeros((len(forest), nodes)),
        baseline=baseline,
        features=features,
    )
    for number, tree in enumerate(forest):
        _lay(tree, trees, number, 0, 0)
    return trees


def _depth(tree: list[Node], at: int) -> int:
    node = tree[at]
    return 1 + max(_depth(tree, node.left), _depth(tree, node.right)) if node.left else 0


def _lay(tree: list[Node], into: Trees, number: int, at: int, place: int) -> float:
    node = tree[at]
    if not node.left:
        _fill(place, node.value, into.value[number])
        return node.value
    into.feature[number, place], into.threshold[number, place] = node.feature, node.threshold
    into.unknown_left[number, place] = node.unknown_left
    left = _lay(tree, into, number, node.left, 2 * place + 1)
    right = _lay(tree, into, number, node.right, 2 * place + 2)
    weight = tree[node.left].count + tree[node.right].count
    mean = (left * tree[node.left].count + right * tree[node.right].count) / weight
    into.value[number, place] = mean
    return mean


def _fill(place: int, value: float, into: Floats) -> None:
    """A leaf stands for its whole padded subtree."""
    while place < len(into):
        into[place] = value
        place = 2 * place + 1
