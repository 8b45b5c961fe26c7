"""How good probabilities are: ranking (AUC, PR-AUC), closeness (Brier) and calibration (expected calibration error)."""

import numpy as np
from numpy.typing import NDArray

from ml.lifecycle.version import Metrics

Floats = NDArray[np.float64]
BINS = 10


def measure(labels: Floats, probabilities: Floats) -> Metrics | None:
    """Metrics of probabilities (n,) for labels (n,) of 0 and 1; None without rows."""
    if not len(labels):
        return None
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415  not for serving

    both = 0 < labels.sum() < len(labels)
    return Metrics(
        rows=len(labels),
        base_rate=float(np.mean(labels)),
        auc=float(roc_auc_score(labels, probabilities)) if both else None,
        pr_auc=float(average_precision_score(labels, probabilities)) if both else None,
        brier=float(np.mean((probabilities - labels) ** 2)),
        ece=calibration_error(labels, probabilities),
    )


def calibration_error(labels: Floats, probabilities: Floats) -> float:
    """Mean |predicted - observed| over ten equally wide bins, weighted by rows (Naeini et al., AAAI 2015)."""
    bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, labels - probabilities, BINS)
    return float(np.abs(gaps).sum() / len(labels))


def in_words(metrics: Metrics) -> str:
    """`AUC .712, PR-AUC .520, Brier .157, ECE .012 on 1,204 rows`."""
    ranking = "one label only" if metrics.auc is None else f"AUC {metrics.auc:.3f}, PR-AUC {metrics.pr_auc:.3f}"
    return f"{ranking}, Brier {metrics.brier:.4f}, ECE {metrics.ece:.3f} on {metrics.rows:,} rows"
