"""Runs: one journey on one subject, with an id that is one subject token."""

import string

from hypothesis import given
from hypothesis import strategies as st

from mesh.subjects import token
from notifications.run import SEPARATOR, run_id

names = st.lists(st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12), min_size=1, max_size=4).map(
    "-".join
)
subjects = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=128)


@given(names, subjects, names, subjects)
def test_a_run_id_names_one_journey_and_one_subject(journey, subject, other, another):
    """Ids are tokens, and equal exactly where both are."""
    one, two = run_id(journey[:48].strip("-"), subject), run_id(other[:48].strip("-"), another)

    assert token(one) == one
    assert (one == two) == ((journey[:48].strip("-"), subject) == (other[:48].strip("-"), another))
    assert one.partition(SEPARATOR)[0] == journey[:48].strip("-")
