"""The hour before is what a count grew by, whatever happened before it began."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.operations.watch.past import HOUR, STEP, Past

NOW = 1_800_000_000.0


def test_what_was_there_before_the_count_began_belongs_to_its_hour():
    """Forty minutes ago thirty came, twenty minutes ago ten: they leave the hour one after the other."""
    past = Past([(NOW - HOUR, -40), (NOW - 2400, -40), (NOW - 2399, -10), (NOW - 1200, -10), (NOW - 1199, 0), (NOW, 0)])

    assert past.hour(NOW, 0) == 40
    assert past.hour(NOW + 1190, 5) == 45
    assert past.hour(NOW + 1205, 5) == 15
    assert past.hour(NOW + 2400, 5) == 15
    assert past.hour(NOW + 2405, 5) == 5


def test_a_moment_before_the_first_one_is_no_trouble():
    """The first question comes with a time that was taken before the past was looked at."""
    past = Past([(NOW - HOUR, 0), (NOW, 0)])

    assert past.hour(NOW - 0.5, 7) == 7
    assert past.hour(NOW + 20, 7) == 7


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_the_hour_is_right_to_within_a_step(random):
    """Asked every ten seconds, however unevenly it grows."""
    past, totals = Past([(NOW - HOUR, 0), (NOW, 0)]), [0]

    for number, more in enumerate((random.choice((0, 0, 1, 50)) for _ in range(800)), 1):
        totals.append(totals[-1] + more)
        grown = past.hour(NOW + number * STEP, totals[-1])

        first = max(0, number - round(HOUR / STEP))
        assert grown == totals[-1] - totals[first]


def test_an_hour_is_never_less_than_nothing():
    """Messages that expire make a count smaller; the hour stays a number of events."""
    past = Past([(NOW - HOUR, 0), (NOW, 100)])

    assert past.hour(NOW + HOUR, 60) == 0


def test_what_is_remembered_stays_small():
    """An hour of moments, however long the process lives."""
    past = Past([(NOW - HOUR, 0), (NOW, 0)])

    for second in range(0, 3 * 3600, 5):
        past.hour(NOW + second, second)

    assert len(past._moments) <= HOUR / STEP + 3
