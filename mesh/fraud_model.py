"""The fraud model as a document: `training` stores the versions that serve and are tried, `fraud` scores orders by it.

Trees are plain numbers, so that whoever scores needs no library, and services need to know nothing of `ml`.
"""

from datetime import datetime
from typing import Literal

import msgspec

from mesh.streams import Bucket

Role = Literal["serving", "candidate"]
"""The keys of the bucket: the version whose score the rules use, and the one that is tried beside it."""


class FraudTree(msgspec.Struct, frozen=True, kw_only=True):
    """A complete binary tree in arrays: the children of node n are 2n + 1 (left) and 2n + 2.

    An order goes left where its `feature` (an index) is at most the `threshold`, or unknown and `unknown_left`.
    A threshold of None pads the tree: everything goes left, and all nodes below have the same value. `value` is
    in log-odds, that of an inner node the mean of what is below.
    """

    feature: tuple[int, ...]
    threshold: tuple[float | None, ...]
    unknown_left: tuple[bool, ...]
    value: tuple[float, ...]


class FraudModel(msgspec.Struct, frozen=True, kw_only=True):
    """How likely an order is fraud: the sum of `trees` and `baseline` in log-odds, calibrated.

    `features` names what a tree's index means, as decisions record them. `levels` are the calibrated probabilities at
    the raw probabilities `knots`, with straight lines between. `learnt_until` is the time of the newest order that was
    learnt from.
    """

    version: str
    features: tuple[str, ...]
    baseline: float
    trees: tuple[FraudTree, ...]
    knots: tuple[float, ...]
    levels: tuple[float, ...]
    learnt_until: datetime


FRAUD_MODELS: Bucket[FraudModel] = Bucket("fraud-models", FraudModel)
"""Written by `training`; others read it (`Service(..., views=(FRAUD_MODELS,))`)."""
