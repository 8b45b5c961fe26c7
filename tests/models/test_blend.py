"""The blend ranks by all that is known of a session, and learns from the newest ones what counts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.models.blend import NAMES, WEIGHTS, Blend
from ml.models.choice import Choice, Question
from ml.models.rules import SequentialRules
from ml.models.sessions import Sessions

KNOWN = 12
histories = st.lists(st.lists(st.integers(0, KNOWN - 1), min_size=1, max_size=8), min_size=1, max_size=30)


def sessions_of(*lists, known=KNOWN):
    lengths = [len(items) for items in lists]
    items = np.array([item for items in lists for item in items], dtype=np.intp)
    return Sessions(items=items, starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp), known=known)


def lists_of(found):
    items, shares = found
    return dict(zip(items.tolist(), shares.tolist(), strict=True))


def test_rules_weigh_what_followed_by_its_distance():
    """What came right after an item has twice the share of what came one step later."""
    rules = SequentialRules().fit(sessions_of([0, 1, 2]))

    assert lists_of(rules.after(0)) == {1: 2 / 3, 2: 1 / 3}
    assert lists_of(rules.before(2)) == {1: 2 / 3, 0: 1 / 3}
    assert lists_of(rules.after(2)) == {}


def test_rules_keep_the_strongest():
    """Of an item that everything follows only what follows it most is kept; shares are of all."""
    rules = SequentialRules(most=2).fit(sessions_of([0, 1], [0, 2], [0, 2], [0, 3], [0, 3], [4, 5]))

    assert lists_of(rules.after(0)) == {2: 2 / 5, 3: 2 / 5}
    assert lists_of(rules.after(4)) == {5: 1.0}


@given(histories, st.lists(st.integers(0, KNOWN - 1), max_size=9), st.integers(1, 15))
def test_a_prediction_names_each_item_once(lists, seen, most):
    """Up to `most` known items, each once, whatever was seen; the same question has the same answer."""
    blend = Blend().fit(sessions_of(*lists))

    found = blend.predict(seen, most=most)

    assert len(found) == len(set(found)) <= most
    assert blend.predict(seen, most=most) == found


def test_features_that_are_tuned_are_those_that_rank():
    """Scores are the weighted sum of the very features that the weights are fitted to."""
    rng = np.random.default_rng(7)
    blend = Blend().fit(sessions_of(*rng.integers(0, KNOWN, (40, 5)).tolist()))
    seen = [3, 1, 3, 7, 8, 9, 2]

    ranking = blend.rank(seen)

    candidates, features = blend.features(seen)
    assert candidates.tolist() == ranking.items.tolist()
    assert np.allclose(features @ [WEIGHTS[name] for name in NAMES], ranking.scores, atol=1e-4)


def test_weights_learn_that_shoppers_go_back():
    """Where shoppers always return to the item before the last, tuning makes that place count."""
    rng = np.random.default_rng(7)
    visits = [[*(pair := rng.permutation(KNOWN)[:2].tolist()), *pair, *pair] for _ in range(400)]

    tuned = Blend().tuned(sessions_of(*visits))

    assert tuned.weights["one back"] > WEIGHTS["one back"] > tuned.weights["last again"]
    assert tuned.fit(sessions_of(*visits)).predict([4, 5], most=1) == [4]


def test_without_questions_weights_stay_what_they_were():
    """A log in which nobody clicked twice leaves the default weights."""
    tuned = Blend().tuned(sessions_of([0], [1], [2]))

    assert tuned.weights == WEIGHTS


def test_choices_are_explained_by_what_they_share():
    """Weights recover those by which choices were drawn, within their own error."""
    rng = np.random.default_rng(7)
    truth = np.array([1.5, -1.0, 0.0])
    questions = []
    for _ in range(3_000):
        candidates = rng.normal(size=(8, 3))
        odds = np.exp(candidates @ truth)
        questions.append(Question(candidates=candidates, chosen=int(rng.choice(8, p=odds / odds.sum()))))

    weights = Choice(prior=np.zeros(3), strength=1.0).fit(questions).weights_

    assert np.abs(weights - truth).max() < 0.1
