"""How fast features are is measured on a log of any size."""

import pytest

from ml.benchmarks.features import evaluate
from ml.features import names


@pytest.mark.timeout(300)  # two cold processes, on a busy machine
def test_features_of_a_made_up_log_are_timed():
    """A small log is made up, computed file to file, and what it took is said in words."""
    report = evaluate(events=3_000, seed=3)

    assert (report.events, report.features) == (3_000, len(names()))
    assert 2_500 < report.rows < 4_000
    assert report.seconds > 0
    assert 10e6 < report.peak_bytes < 4e9
    assert report.lines()[0].startswith("3,000 events of ")


def test_nothing_to_time_is_refused():
    """A log without events is refused in words."""
    with pytest.raises(ValueError, match="at least 1"):
        evaluate(events=0)
