"""What is reported of a request says what it looks like, and nothing of what it says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.shape import MOST_LINES, name_without_values, reason_without_values, shape_of

SECRET = "zq7ann@example.com"


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ({"a": 1, "b": [{"c": "xy"}, {}], "d": None}, ("a: whole number", "b[2].c: text of 2", "d: null")),
        ({"ann@example.com": 1, "49170123456": {}}, ("(name): whole number", "(name): empty object")),
        ([], ("body: empty list",)),
        (1.5, ("body: number",)),
        ({"": True, "a b": ""}, ("(name): true or false", "(name): empty text")),
    ],
)
def test_fields_are_named_with_the_types_of_their_values(value, lines):
    """A name that could be somebody's address or number is not shown."""
    assert shape_of(value) == lines


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just(SECRET),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just(SECRET), inner, max_size=4),
    max_leaves=30,
)


@given(json_values)
def test_no_value_is_shown_whatever_is_sent(value):
    """At any depth, in any place; and the shape stays small."""
    lines = shape_of(value)

    assert len(lines) <= MOST_LINES
    assert "zq7" not in json.dumps(lines)


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("'Ann Lee' is no time", "(what was sent) is no time"),
        ('"Ann" is no time', "(what was sent) is no time"),
        ("the gateway's keys are the shop's", "the gateway's keys are the shop's"),
        ("write ann@example.com or 4111111111111111", "write (address) or (number)"),
        ("missing required field `time`", "missing required field `time`"),
    ],
)
def test_reasons_keep_their_words_and_lose_what_was_sent(reason, shown):
    """What stands in quotes came from the sender."""
    assert reason_without_values(reason) == shown


def test_names_of_events_are_shown_without_addresses():
    """A shop may name an event after somebody; most names help."""
    assert name_without_values("Order Completed") == "Order Completed"
    assert name_without_values("Mail to ann@example.com") == "Mail to (address)"
    assert name_without_values("a\ud800\n") == "a? "
