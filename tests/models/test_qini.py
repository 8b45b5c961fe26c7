"""Qini, AUUC and uplift@k: the figures of scikit-uplift, frozen."""

import numpy as np
import pytest

from ml.training.qini import Ranked, qini_auc, uplift_at, uplift_auc
from ml.training.recipient_choice import Trial

AT = np.arange(400)
TREATED = (AT * 7919 % 5 < 2).astype(float)
SCORE = (AT * 104729) % 997 / 997
LABELS = ((AT * 15485863) % 1009 / 1009 < 0.15 + 0.25 * TREATED * SCORE).astype(float)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (SCORE, (0.20618413143686837, 0.14727281088821007, 0.18055555555555555)),
        (SCORE.round(1), (0.2042752932606277, 0.14689202599217105, 0.17016384018396094)),
        (-SCORE, (-0.2060098855754702, -0.14964860816231063, -0.03472222222222221)),
        (np.zeros(400), (0.0, 0.0, 0.11805555555555555)),
    ],
)
def test_the_figures_are_those_of_scikit_uplift(score, expected):
    """Computed once by scikit-uplift 0.5.1: qini_auc_score, uplift_auc_score, uplift_at_k(overall, 0.3)."""
    found = qini_auc(LABELS, score, TREATED), uplift_auc(LABELS, score, TREATED), uplift_at(LABELS, score, TREATED)

    assert found == pytest.approx(expected, abs=1e-12)


def test_counting_people_twice_is_as_having_them_twice():
    """What the bootstrap does with counts is what drawing people would do."""
    counts = np.random.default_rng(1).multinomial(400, [1 / 400] * 400)
    drawn = np.repeat(AT, counts)
    score = SCORE.round(1)

    ranked = Ranked.of(LABELS, score, TREATED)

    assert ranked.qini(counts.astype(float)) == pytest.approx(qini_auc(LABELS[drawn], score[drawn], TREATED[drawn]))
    assert ranked.auuc(counts.astype(float)) == pytest.approx(uplift_auc(LABELS[drawn], score[drawn], TREATED[drawn]))


def test_nobody_responded_is_no_number_and_no_error():
    """Not a good order, not a bad one."""
    assert np.isnan(qini_auc(np.zeros(400), SCORE, TREATED))
    assert np.isnan(uplift_at(LABELS, SCORE, np.ones(400)))


def test_unequal_chances_are_weighed_out():
    """Who is likelier to buy is treated more often: unweighted an order by that looks good, weighted it does not."""
    rng = np.random.default_rng(3)
    taste = rng.normal(size=40_000)
    share = np.where(taste > 0, 0.9, 0.3)
    treated = (rng.random(40_000) < share).astype(float)
    labels = (rng.random(40_000) < np.where(taste > 0, 0.5, 0.2)).astype(float)  # treatment does nothing
    trial = Trial(rows=taste[:, None], labels=labels, treated=treated, share=share)

    assert abs(qini_auc(labels, taste, treated)) > 0.05
    assert abs(trial.ranked(taste).qini()) < 0.02
