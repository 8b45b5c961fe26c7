"""Boosted trees as plain arrays: one numpy pass gives the score of many rows and what each feature did to it.

Every tree is padded to a complete binary tree, so that children are found by arithmetic. A padded node
sends everything left to a copy of its own value. Contributions are path attribution (Saabas): each split
on the way gets the change of the mean outcome that it made.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Trees:
    """`feature` and `threshold` (trees, 2**depth - 1), `value` (trees, 2**(depth + 1) - 1) in log-odds.

    `baseline` is the score before any tree; `features` is how many columns a row has.
    """

    feature: NDArray[np.int32]
    threshold: Floats
    value: Floats
    baseline: float
    features: int

    @property
    def depth(self) -> int:
        """Splits on the longest way."""
        return (self.value.shape[1] + 1).bit_length() - 2

    def explain(self, rows: Floats) -> tuple[Floats, Floats]:
        """Scores (n,) in log-odds and contributions (n, features); rows (n, features) must be finite."""
        count, trees = len(rows), len(self.feature)
        inner, nodes = self.feature.shape[1], self.value.shape[1]
        offset = np.arange(trees, dtype=np.int64)
        row = np.arange(count, dtype=np.int64)[:, None] * self.features
        flat, feature = rows.ravel(), self.feature.ravel()
        threshold, value = self.threshold.ravel(), self.value.ravel()
        place = np.zeros((count, trees), dtype=np.int64)
        here = np.broadcast_to(value[offset * nodes], (count, trees))
        cells = np.zeros(count * self.features)
        for _ in range(self.depth):
            at = place + offset * inner
            cell = feature.take(at) + row
            place = 2 * place + 1 + (flat.take(cell) > threshold.take(at))
            there = value.take(place + offset * nodes)
            cells += np.bincount(cell.ravel(), (there - here).ravel(), len(cells))
            here = there
        return here.sum(axis=1) + self.baseline, cells.reshape(count, self.features)


@dataclass(frozen=True)
class Node:
    """A node of a tree that was learnt: a leaf when `left` is 0. `count` is how many rows it saw."""

    feature: int
    threshold: float
    left: int
    right: int
    value: float
    count: int


def padded(forest: Iterable[list[Node]], *, baseline: float, features: int) -> Trees:
    """Learnt trees (the root first) as arrays; inner nodes get the mean of their leaves."""
    forest = list(forest)
    depth = max((_depth(tree, 0) for tree in forest), default=0)
    inner, nodes = 2**depth - 1, 2 ** (depth + 1) - 1
    feature = np.zeros((len(forest), inner), dtype=np.int32)
    threshold = np.full((len(forest), inner), np.inf)
    value = np.zeros((len(forest), nodes))
    for at, tree in enumerate(forest):
        _lay(tree, 0, 0, feature[at], threshold[at], value[at])
    return Trees(feature=feature, threshold=threshold, value=value, baseline=baseline, features=features)


def _depth(tree: list[Node], at: int) -> int:
    node = tree[at]
    return 1 + max(_depth(tree, node.left), _depth(tree, node.right)) if node.left else 0


def _lay(tree: list[Node], at: int, place: int, feature: NDArray[np.int32], threshold: Floats, value: Floats) -> float:
    node = tree[at]
    if not node.left:
        _fill(place, node.value, value)
        return node.value
    feature[place], threshold[place] = node.feature, node.threshold
    left = _lay(tree, node.left, 2 * place + 1, feature, threshold, value)
    right = _lay(tree, node.right, 2 * place + 2, feature, threshold, value)
    weight = tree[node.left].count + tree[node.right].count
    value[place] = (left * tree[node.left].count + right * tree[node.right].count) / weight
    return float(value[place])


def _fill(place: int, value: float, into: Floats) -> None:
    """A leaf stands for its whole padded subtree."""
    while place < len(into):
        into[place] = value
        place = 2 * place + 1
