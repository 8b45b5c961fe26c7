"""What an event costs scoring is measured on a shop of any size."""

import pytest

from ml.benchmarks.scoring import evaluate


@pytest.mark.timeout(300)  # a cold import of scikit-learn, on a busy machine
def test_events_of_a_made_up_shop_are_scored_and_timed():
    """Every event is learnt, the newest of each visitor in a batch is scored, and what that took is said in words."""
    found = evaluate(products=500, events=512)

    assert (found.products, found.events) == (500, 512)
    assert 400 < found.scores <= 512
    assert 0 < found.event_us < found.recommended_event_us
    assert found.lines()[1].startswith("an event, learnt and scored: ")


def test_too_little_to_time_is_refused():
    """A shop without products is refused in words."""
    with pytest.raises(ValueError, match="at least 100 products"):
        evaluate(products=10)
