"""What serves is what scikit-learn learnt, whatever runs the trees."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.models.propensity import PropensityClassifier, calibrated
from ml.models.propensity_serving import AT_ONCE, Model

FEATURES = ("one", "two", "three", "four", "five", "six")


def table(seed=5, count=2000, *, unknown=0.0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, len(FEATURES)))
    rows[:, 2] = np.round(rows[:, 2] * 3)
    labels = (rows[:, 0] * rows[:, 1] + 0.3 * rows[:, 2] + rng.normal(size=count) > 0.5).astype(float)
    rows[rng.random(rows.shape) < unknown] = np.nan
    return rows, labels


@pytest.fixture(scope="module", params=[0.0, 0.3], ids=["whole rows", "rows with gaps"])
def learnt(request):
    rows, labels = table(unknown=request.param)
    return PropensityClassifier().fit(rows, labels)


def odd_rows(classifier):
    """Random rows, such with NaN and infinities, and such that lie exactly on thresholds and just beside them."""
    rng = np.random.default_rng(11)
    rows = rng.normal(size=(600, len(FEATURES))) * 2
    holes = rng.random(rows.shape)
    broken = np.where(holes < 0.2, np.nan, np.where(holes < 0.3, np.inf, np.where(holes < 0.4, -np.inf, rows)))
    trees = classifier.trees_
    split = np.isfinite(trees.threshold)
    on = np.zeros((600, len(FEATURES)))
    for feature in range(len(FEATURES)):
        on[:, feature] = rng.choice(trees.threshold[split & (trees.feature == feature)], 600)
    beside = np.concatenate([np.nextafter(on, np.inf), np.nextafter(on, -np.inf), on.astype(np.float32)])
    nothing = np.full((1, len(FEATURES)), np.nan)
    return np.concatenate([rows, broken, on, beside, nothing, nothing * 0 + np.inf, np.full_like(nothing, -np.inf)])


def test_served_probabilities_equal_scikit_learns(learnt):
    """On random rows, gaps, infinities and values exactly on thresholds nobody gets another probability."""
    rows = odd_rows(learnt)
    walk = learnt.served(FEATURES).inference

    expected = learnt.booster_.predict_proba(rows)[:, 1]
    actual = walk.probabilities(walk.leaves(np.ascontiguousarray(rows)))

    assert np.abs(expected - actual).max() < 1e-6


def followed(trees, row):
    """A row's way through every tree, split by split: its score in log-odds, and what each feature did to it."""
    score, changes = trees.baseline, np.zeros(trees.features)
    for feature, threshold, unknown_left, value in zip(
        trees.feature, trees.threshold, trees.unknown_left, trees.value, strict=True
    ):
        place = 0
        while place < len(feature):
            seen = row[feature[place]]
            left = unknown_left[place] if np.isnan(seen) else seen <= threshold[place]
            below = 2 * place + (1 if left else 2)
            changes[feature[place]] += value[below] - value[place]
            place = below
        score += value[place]
    return score, changes


def test_reasons_are_what_the_splits_on_the_way_changed(learnt):
    """What stands ready at the leaves is what following every split gives, and adds up to the score."""
    rows = odd_rows(learnt)[::40]
    walk, trees = learnt.served(FEATURES).inference, learnt.trees_
    leaves = walk.leaves(np.ascontiguousarray(rows))

    expected = [followed(trees, row) for row in rows]
    actual = walk.contributions(leaves)

    scores = np.array([score for score, _ in expected])
    assert np.allclose(walk.probabilities(leaves), 1 / (1 + np.exp(-scores)), rtol=0, atol=1e-9)
    assert np.allclose(actual, [changes for _, changes in expected], rtol=0, atol=1e-9)
    assert np.allclose(scores - actual.sum(axis=1), trees.value[:, 0].sum() + trees.baseline)


def test_every_row_gets_a_probability(learnt):
    """Whatever a row holds, its probability is a number between 0 and 1, with reasons and without."""
    rows = odd_rows(learnt)
    model = learnt.served(FEATURES)

    probabilities, contributions = model.explain(rows)

    assert np.array_equal(model.score(rows), probabilities)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert np.isfinite(contributions).all()


def test_infinities_teach_nothing_absurd():
    """A model learnt from rows with infinities scores like one that learnt from very large numbers."""
    rows, labels = table()
    rows[::50, 0], rows[1::50, 1] = np.inf, -np.inf

    classifier = PropensityClassifier(max_iter=10).fit(rows, labels)

    assert not np.isnan(classifier.trees_.threshold).any()
    assert np.isfinite(classifier.served(FEATURES).score(rows)).all()


def test_rows_of_another_width_are_refused(learnt):
    """Too few or too many columns are an error here; treelite would take them as unknown."""
    model = learnt.served(FEATURES)

    for wrong in (np.zeros((3, 5)), np.zeros((3, 7)), np.zeros(6)):
        with pytest.raises(ValueError, match="rows of 6 features are scored"):
            model.score(wrong)


@pytest.mark.parametrize("count", [0, 1, 64, 257])
def test_any_number_of_rows_is_scored_in_one_call(learnt, count):
    """Each row gets its own answer, wherever it stands and how many there are; none get none."""
    rows = odd_rows(learnt)[:count]
    model = learnt.served(FEATURES)

    alone = [model.score(rows[at : at + 1])[0] for at in range(count)]

    assert model.score(rows).tolist() == alone
    assert model.explain(rows)[1].shape == (count, len(FEATURES))


def test_a_long_table_is_scored_in_parts(learnt):
    """More rows than are scored at once get the same answers, in order."""
    rows = np.tile(odd_rows(learnt)[:600], (28, 1))
    model = learnt.served(FEATURES)

    probabilities, contributions = model.explain(rows)

    assert len(rows) > AT_ONCE
    assert np.array_equal(model.score(rows), np.tile(model.score(rows[:600]), 28))
    assert np.array_equal(probabilities, model.score(rows))
    assert np.array_equal(contributions[-600:], contributions[:600])


def test_trees_without_splits_are_served():
    """Inputs that say nothing give everybody the base rate."""
    labels = (np.arange(400) % 4 == 0).astype(float)

    model = PropensityClassifier(max_iter=3).fit(np.zeros((400, 6)), labels).served(FEATURES)
    again = Model.of(model.plain())

    assert again.score(np.ones((2, 6))) == pytest.approx([0.25, 0.25])
    assert again.explain(np.ones((2, 6)))[1].tolist() == np.zeros((2, 6)).tolist()


def test_calibration_is_honest_and_keeps_the_order():
    """Given scores that overstate, calibrated ones are what happens, and rows that differ stay different."""
    rng = np.random.default_rng(2)
    raw = rng.uniform(0.05, 0.95, 20_000)
    labels = (rng.random(20_000) < raw**2).astype(float)

    knots = calibrated(raw, labels)
    said = np.interp(raw, *knots)

    assert np.abs(said - raw**2).mean() < 0.02
    assert len(np.unique(said)) == len(np.unique(raw))
    assert (said > 0).all()
    assert (said < 1).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([3, 50, 100_000]), st.floats(0.1, 0.9))
def test_calibration_never_falls(seed, different, share):
    """Whatever was said and happened, also with many equals and without any connection, the line rises within 0..1."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, different + 1, 400) / different
    labels = (rng.random(400) < share).astype(float)

    said, meant = calibrated(raw, labels)

    assert (np.diff(said) >= 0).all()
    assert (np.diff(meant) > 0).all()
    assert 0 <= said[0] <= said[-1] <= 1
    assert 0 <= meant[0] <= meant[-1] <= 1


def test_calibration_waits_for_enough():
    """From a few rows, or from hardly any of one label, nothing is concluded."""
    raw = np.linspace(0, 1, 1000)

    few = calibrated(raw[:100], (raw[:100] > 0.05).astype(float))
    rare = calibrated(raw, (raw > 0.995).astype(float))

    assert few.tolist() == rare.tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_crossed_calibration_sees_no_group_on_both_sides():
    """Where labels are the groups' own and inputs only name the group, unseen rows are not claimed to be known."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(300), 10)
    rows = np.column_stack([groups, rng.normal(size=3000)]).astype(float)
    labels = (rng.random(300) < 0.3)[groups].astype(float)

    classifier = PropensityClassifier(max_iter=200).fit(rows, labels, crossed=True, groups=groups)

    predicted = classifier.booster_.predict_proba(rows)[:, 1]
    assert predicted.max() - predicted.min() > 0.3
    assert classifier.predict_proba(rows)[:, 1].std() < predicted.std()


def test_too_few_groups_are_not_split():
    """Where hardly any group has one of the labels, unseen rows cannot be judged, and the model is served as it is."""
    groups = np.repeat(np.arange(4), 100)
    rows = np.random.default_rng(4).normal(size=(400, 2))
    labels = (groups == 0).astype(float)

    classifier = PropensityClassifier(max_iter=5).fit(rows, labels, crossed=True, groups=groups)

    assert classifier.knots_.tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_serving_needs_no_scikit_learn():
    """A process that scores never imports what only trains: it would cost 100 MB."""
    heavy = "{'sklearn', 'polars', 'skops'} & set(sys.modules)"
    code = f"import sys, ml.models.propensity_serving, ml.models.artifact; print(sorted({heavy}))"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)

    assert ran.stdout.strip() == "[]"
