"""VMIS-kNN in whole arrays is the published algorithm, and its layers are one index."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.models.lists import between, first_uses
from ml.models.sessions import Sessions
from ml.models.vmis import Vmis

KNOWN = 12
histories = st.lists(st.lists(st.integers(0, KNOWN - 1), min_size=1, max_size=8), min_size=1, max_size=40)


def sessions_of(*lists, known=KNOWN):
    lengths = [len(items) for items in lists]
    items = np.array([item for items in lists for item in items], dtype=np.intp)
    return Sessions(items=items, starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp), known=known)


def scores_of(vmis, seen):
    found = vmis.evidence(seen)
    return dict(enumerate(np.bincount(found.items, found.weights, KNOWN).tolist()))


def naive(lists, seen, *, newest, neighbours):
    """The algorithm of the paper, sentence by sentence."""
    held = [[at for at, items in enumerate(lists) if item in items] for item in range(KNOWN)]
    similarity = {}
    for place, item in enumerate(seen):
        for session in held[item][-newest:]:
            similarity[session] = similarity.get(session, 0.0) + 1 - place / len(seen)
    nearest = sorted(similarity, key=lambda session: (round(similarity[session], 9), session))[-neighbours:]
    scores = dict.fromkeys(range(KNOWN), 0.0)
    for session in nearest:
        place = min(at for at, item in enumerate(seen) if session in held[item][-newest:])
        for item in set(lists[session]):
            rarity = np.log(len(lists) / len(held[item]))
            scores[item] += similarity[session] * max(1 - 0.1 * place, 0.1) * rarity
    return scores


@given(histories, st.lists(st.integers(0, KNOWN - 1), min_size=1, max_size=6, unique=True))
def test_arrays_say_what_the_algorithm_says(lists, seen):
    """Scores equal those of a plain implementation with a loop over every neighbour, for any sessions."""
    vmis = Vmis(newest=5, neighbours=4).fit(sessions_of(*lists))

    scores = scores_of(vmis, seen)

    expected = naive(lists, seen, newest=5, neighbours=4)
    assert np.allclose([scores[item] for item in range(KNOWN)], [expected[item] for item in range(KNOWN)])


def test_the_example_by_hand():
    """Two of three sessions share the newest item; the rarer of their items wins."""
    vmis = Vmis().fit(sessions_of([0, 1, 2], [0, 1], [3, 1]))

    assert vmis.predict([0], most=2) == [2, 0]
    assert scores_of(vmis, [0])[2] == np.log(3)
    assert scores_of(vmis, [0])[0] == 2 * np.log(3 / 2)


def test_items_that_nobody_saw_have_no_neighbours():
    """An item without sessions finds nothing and fails nothing; so does an index without sessions."""
    none = np.zeros(0, np.intp)
    assert Vmis().fit(sessions_of([0, 1])).predict([5], most=3) == []
    assert Vmis(reach=2.0).fit(Sessions(items=none, starts=np.zeros(1, np.intp), known=6)).predict([5], most=3) == []


def test_a_session_of_a_hundred_thousand_clicks_is_looked_at_near_the_match_only():
    """What a query takes from one neighbour is bounded by the reach, however long that session is."""
    rng = np.random.default_rng(7)
    endless = rng.permutation(100_000)
    vmis = Vmis(newest=500, neighbours=500, reach=3.0).fit(sessions_of(endless.tolist(), [5, 6], known=100_000))

    assert len(vmis.evidence([5]).items) <= 25 + 2


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=12))
def test_ranges_are_laid_end_to_end(ranges):
    """`between` lists every index of every range, range after range."""
    low = np.array([start for start, _ in ranges], dtype=np.intp)
    high = low + np.array([length for _, length in ranges], dtype=np.intp)

    index, owner = between(low, high)

    expected = [(at, number) for number, (start, length) in enumerate(ranges) for at in range(start, start + length)]
    assert list(zip(index.tolist(), owner.tolist(), strict=True)) == expected


@given(st.lists(st.integers(0, 9), max_size=40))
def test_first_uses_are_found_without_sorting(numbers):
    """Each number points at the place where it came first."""
    first, use = first_uses(np.array(numbers, dtype=np.intp), np.full(10, 99))

    assert use.tolist() == [numbers.index(number) for number in numbers]
    assert first.tolist() == sorted({numbers.index(number) for number in numbers})


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=30))
def test_clicks_become_sessions_in_the_order_of_their_newest_click(clicks):
    """A session holds its clicks in time order; sessions follow one another as they were last active."""
    owners, items = [owner for owner, _ in clicks], [item for _, item in clicks]

    sessions = Sessions.of(np.array(owners, dtype=np.intp), np.array(items, dtype=np.intp), known=6)

    newest = sorted(set(owners), key=lambda owner: max(at for at, other in enumerate(owners) if other == owner))
    expected = [[item for other, item in clicks if other == owner] for owner in newest]
    assert [sessions.items[sessions.starts[at] : sessions.starts[at + 1]].tolist() for at in range(len(sessions))] == (
        expected
    )
