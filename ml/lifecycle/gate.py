"""The gate: whether a version may be tried or promoted, judged on AUC, Brier and ECE, with the reason."""

from ml.lifecycle.verdict import Verdict
from ml.lifecycle.version import Metrics
from ml.training.metrics import in_words

AUC_LOSS, BRIER_LOSS, ECE_GAIN = (0.005, 0.6), (0.001, 0.16), (0.01, 1.0)
"""How much worse than the running model a version may be: at least the first figure; on few rows what chance does
there to two equally good models, two standard errors, which is the second figure over the root of the rows."""
WORTH = 1e-4
"""Brier improvement over the base rates below which a model is no use."""


def against_guessing(metrics: Metrics, guesses: Metrics) -> Verdict:
    """Whether a model is better than the base rates on the same rows."""
    figures = f"{in_words(metrics)}; the base rates: {in_words(guesses)}"
    if metrics.auc is not None and metrics.auc <= 0.5:
        return Verdict(accepted=False, reason=f"not better than chance at ranking ({figures})")
    if metrics.brier >= guesses.brier - WORTH:
        return Verdict(accepted=False, reason=f"no closer to what happened than the base rates ({figures})")
    return Verdict(accepted=True, reason=f"closer to what happened than the base rates ({figures})")


def against_running(metrics: Metrics, running: Metrics, *, called: str) -> Verdict:
    """Whether a model holds its own against the running one on the same rows, within small tolerances."""
    figures = f"{in_words(metrics)}; {called}: {in_words(running)}"
    if lost := _lost(metrics, running, running.brier):
        return Verdict(accepted=False, reason=f"worse than {called}: {lost} ({figures})")
    better = metrics.brier < running.brier - WORTH
    how = "better than" if better else "as good as"
    return Verdict(accepted=True, reason=f"{how} {called} ({figures})")


def against_memory(metrics: Metrics, stored: Metrics | None, *, called: str) -> Verdict:
    """The same where the running model cannot be asked any more, by what it was measured at when it was trained.

    Its rows were others, with another base rate: its Brier score is carried over as a share of the base rate's.
    """
    if stored is None:
        return Verdict(accepted=True, reason=f"{called} cannot be asked and was never measured; {in_words(metrics)}")
    plain, here = _spread(stored.base_rate), _spread(metrics.base_rate)
    expected = stored.brier * here / plain if plain else stored.brier
    figures = f"{in_words(metrics)}; {called} when it was trained: {in_words(stored)}"
    if lost := _lost(metrics, stored, expected):
        return Verdict(accepted=False, reason=f"worse than {called}, which runs on other features: {lost} ({figures})")
    return Verdict(accepted=True, reason=f"not worse than {called}, which runs on other features ({figures})")


def _lost(metrics: Metrics, running: Metrics, brier: float) -> str:
    """What of AUC, Brier and ECE got worse by more than chance does, or nothing."""
    lost, rows = [], min(metrics.rows, running.rows)
    if metrics.auc is not None and running.auc is not None and metrics.auc < running.auc - _room(AUC_LOSS, rows):
        lost.append(f"it ranks worse (AUC {metrics.auc:.3f} after {running.auc:.3f})")
    if metrics.brier > brier + _room(BRIER_LOSS, rows):
        lost.append(f"it is further from what happened (Brier {metrics.brier:.4f} after {brier:.4f})")
    if metrics.ece > running.ece + _room(ECE_GAIN, rows):
        lost.append(f"it is less honest (ECE {metrics.ece:.3f} after {running.ece:.3f})")
    return " and ".join(lost)


def _room(tolerance: tuple[float, float], rows: int) -> float:
    least, chance = tolerance
    return max(least, chance / max(rows, 1) ** 0.5)


def _spread(rate: float) -> float:
    """The Brier score of always saying the base rate."""
    return rate * (1 - rate)
