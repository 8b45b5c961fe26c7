"""Boosted trees run by treelite's inference library (GTIL): which leaves rows end in, and what that means.

The library gets the trees node by node from arrays that were checked before, so that no C++ parser ever
reads bytes that somebody stored. Of its calls the one that returns leaves is by far the cheapest (it needs
a third of the time of the one that adds them up), and scores and contributions are sums over leaves.
"""

import numpy as np
import treelite
from numpy.typing import NDArray
from scipy.sparse import csr_array
from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

from ml.models.trees import Floats, Trees

Ints = NDArray[np.int64]


class TreeInference:
    """Trees as treelite keeps them; thresholds stay float64, so that no row changes sides."""

    def __init__(self, trees: Trees) -> None:
        self._baseline, self._features = trees.baseline, trees.features
        ways = [_ways(trees, number) for number in range(len(trees.feature))]
        self._first = np.cumsum([0, *map(len, ways)])[:-1]
        self._forest = _built(trees, ways)
        self._value = np.concatenate([trees.value[number, way] for number, way in enumerate(ways)] or [np.zeros(0)])
        self._node_contributions = np.concatenate(
            [_path_contributions(trees, number, way) for number, way in enumerate(ways)]
        )

    def leaves(self, rows: Floats) -> Ints:
        """The leaf of every tree (n, trees) in which rows (n, features), contiguous, end.

        NaN goes the way that the trees say for what is unknown; infinities compare like other numbers.
        """
        return treelite.gtil.predict_leaf(self._forest, rows, nthread=1).astype(np.int64) + self._first

    def probabilities(self, leaves: Ints) -> Floats:
        """What the trees say (n,), before calibration."""
        return 1 / (1 + np.exp(-self._baseline - self._value.take(leaves).sum(axis=1)))

    def contributions(self, leaves: Ints) -> Floats:
        """What each feature did to the scores (n, features), in log-odds.

        Path attribution (Saabas): each split on the way gets the change of the mean outcome that it made. The
        sums per feature stand ready at every leaf.
        """
        count, trees = leaves.shape
        ends = np.arange(0, count * trees + 1, trees)
        taken = csr_array((np.ones(count * trees), leaves.ravel(), ends), shape=(count, len(self._node_contributions)))
        return taken @ self._node_contributions


def _ways(trees: Trees, number: int) -> Ints:
    """The places of a tree's nodes without the padding, breadth first: the numbers that treelite gives them."""
    places, at = [0], 0
    while at < len(places):
        if not _leaf(trees, number, places[at]):
            places += [2 * places[at] + 1, 2 * places[at] + 2]
        at += 1
    return np.array(places)


def _leaf(trees: Trees, number: int, place: int) -> bool:
    """Whether a tree ends here; a node that sends everything left is padding."""
    if place >= trees.feature.shape[1]:
        return True
    return bool(trees.threshold[number, place] == np.inf and trees.unknown_left[number, place])


def _built(trees: Trees, ways: list[Ints]) -> treelite.Model:
    count = len(ways)
    builder = ModelBuilder(
        threshold_type="float64",
        leaf_output_type="float64",
        metadata=Metadata(
            num_feature=trees.features,
            task_type="kBinaryClf",
            average_tree_output=False,
            num_target=1,
            num_class=[1],
            leaf_vector_shape=(1, 1),
        ),
        tree_annotation=TreeAnnotation(num_tree=count, target_id=[0] * count, class_id=[0] * count),
        postprocessor=PostProcessorFunc(name="sigmoid"),
        base_scores=[trees.baseline],
    )
    for number, way in enumerate(ways):
        keys = {place: key for key, place in enumerate(way.tolist())}
        builder.start_tree()
        for place, key in keys.items():
            builder.start_node(key)
            if 2 * place + 1 in keys:
                builder.numerical_test(
                    int(trees.feature[number, place]),
                    float(trees.threshold[number, place]),
                    default_left=bool(trees.unknown_left[number, place]),
                    opname="<=",
                    left_child_key=keys[2 * place + 1],
                    right_child_key=keys[2 * place + 2],
                )
            else:
                builder.leaf(float(trees.value[number, place]))
            builder.end_node()
        builder.end_tree()
    return builder.commit()


def _path_contributions(trees: Trees, number: int, way: Ints) -> Floats:
    """For each node of a tree (nodes, features) what the splits on the way to it changed."""
    paths = {0: np.zeros(trees.features)}
    for place in way.tolist()[1:]:
        above = (place - 1) // 2
        paths[place] = paths[above].copy()
        paths[place][trees.feature[number, above]] += trees.value[number, place] - trees.value[number, above]
    return np.array(list(paths.values()))
