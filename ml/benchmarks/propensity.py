"""How well purchases are foreseen on public data, by the estimator that the product trains."""

from pathlib import Path
from time import perf_counter
from typing import Literal

import msgspec
import numpy as np

from ml.training.metrics import BINS, Floats, measure

Layout = Literal["cart-prefix", "online-shoppers"]


class Propensity(msgspec.Struct, frozen=True, kw_only=True):
    """Figures on the test file. `raw_*` are those before calibration; `lift` compares the top tenth with all."""

    layout: str
    train_rows: int
    rows: int
    base_rate: float
    features: int
    auc: float
    pr_auc: float
    brier: float
    ece: float
    top_decile_lift: float
    raw_brier: float
    raw_ece: float
    seconds: float

    def lines(self) -> list[str]:
        """For a terminal."""
        return [
            f"{self.layout}: {self.features} features, learnt from {self.train_rows:,} rows in {self.seconds:.1f} s",
            f"judged on {self.rows:,} rows of which {self.base_rate:.1%} bought",
            f"ROC-AUC {self.auc:.4f}   PR-AUC {self.pr_auc:.4f}   top-decile lift {self.top_decile_lift:.2f}",
            f"Brier {self.brier:.4f}   ECE {self.ece:.4f} over {BINS} equally wide bins",
            f"before calibration: Brier {self.raw_brier:.4f}   ECE {self.raw_ece:.4f}",
        ]


def evaluate(*, train: Path, test: Path, layout: Layout) -> Propensity:
    """Learn from one file, judge on the other. BadFile where a file has no such layout or nothing to learn from.

    The test file's labels are used for judging only, but for `cart-prefix`, where an earlier session's outcome is
    known by the time of a later one of the same visitor.
    """
    from ml.benchmarks import cart_prefix, online_shoppers  # noqa: PLC0415  polars is for who measures
    from ml.models.propensity import PropensityClassifier  # noqa: PLC0415  needs scikit-learn

    adapter = {"cart-prefix": cart_prefix, "online-shoppers": online_shoppers}[layout]
    learnt, judged = adapter.examples(train, test)
    began = perf_counter()
    model = PropensityClassifier().fit(
        learnt.rows, learnt.labels, groups=learnt.groups, crossed=True, among=learnt.newest
    )
    seconds = perf_counter() - began
    served = model.served(learnt.features)
    probabilities, raw = served.score(judged.rows), model.booster_.predict_proba(judged.rows)[:, 1]
    figures, before = measure(judged.labels, probabilities), measure(judged.labels, raw)
    return Propensity(
        layout=layout,
        train_rows=len(learnt.labels),
        rows=figures.rows,
        base_rate=figures.base_rate,
        features=len(learnt.features),
        auc=figures.auc,
        pr_auc=figures.pr_auc,
        brier=figures.brier,
        ece=figures.ece,
        top_decile_lift=lift(judged.labels, probabilities),
        raw_brier=before.brier,
        raw_ece=before.ece,
        seconds=seconds,
    )


def lift(labels: Floats, probabilities: Floats, *, share: float = 0.1) -> float:
    """How much likelier the likeliest `share` of rows is to buy than all; of equals, the share that fits in."""
    most = max(1, round(share * len(labels)))
    border = np.partition(probabilities, -most)[-most]
    above, at = probabilities > border, probabilities == border
    bought = labels[above].sum() + (most - above.sum()) * labels[at].mean()
    return float(bought / most / labels.mean())
