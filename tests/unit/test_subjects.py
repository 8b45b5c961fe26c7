"""Subjects: no key can widen a filter, and matching is what NATS does."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidKey
from mesh.event import declaration_of
from mesh.events.cart import CartIdle
from mesh.events.customer import CustomerIdentified
from mesh.subjects import covers, every, history_filter, matches, overlap, subject, subject_of, timer_subject, token

ALPHABET = "ab"
PATTERNS = st.lists(st.sampled_from(["a", "b", "*"]), max_size=3).flatmap(
    lambda parts: st.sampled_from([parts, [*parts, ">"]]).filter(bool).map(".".join)
)
SUBJECTS = st.lists(st.sampled_from(ALPHABET), min_size=1, max_size=5).map(".".join)
EVERY_SUBJECT = [".".join(parts) for size in range(1, 6) for parts in product(ALPHABET, repeat=size)]


def oracle(pattern, subject):
    """NATS matching as a regular expression."""
    parts = {"*": "[^.]+", ">": ".+"}
    return (
        re.fullmatch(r"\.".join(parts.get(part, re.escape(part)) for part in pattern.split(".")), subject) is not None
    )


@given(st.one_of(st.text(max_size=200), st.text("ab-_09.*> \n\r\t\x00/é", max_size=140)))
def test_any_string_is_a_token_or_refused(text):
    """A legal token comes back as it is; anything else is InvalidKey and nothing else."""
    legal = 0 < len(text) <= 128 and all(char.isascii() and (char.isalnum() or char in "_-") for char in text)

    if legal:
        assert token(text) == text
    else:
        with pytest.raises(InvalidKey):
            token(text)


@pytest.mark.parametrize(
    "value", ["", "a b", "a.b", "*", ">", "x" * 129, "x" * 10_000, "🛒", "a\n", "\uff11", None, 7, b"a"]
)
def test_refused_keys_are_shown_shortened(value):
    """The message shows what was wrong, but never ten thousand characters of it."""
    with pytest.raises(InvalidKey, match="must be 1 to 128") as refused:
        token(value, "cart_id")

    assert str(refused.value).startswith("cart_id")
    assert len(str(refused.value)) < 200


@given(PATTERNS, SUBJECTS)
def test_matching_agrees_with_the_oracle(pattern, subject):
    """`*` is one token, a final `>` one or more."""
    assert matches(pattern, subject) == oracle(pattern, subject)


@given(PATTERNS, PATTERNS)
def test_overlap_is_that_some_subject_falls_under_both(one, other):
    """Compared with trying every short subject; and it does not matter which comes first."""
    found = any(oracle(one, subject) and oracle(other, subject) for subject in EVERY_SUBJECT)

    assert overlap(one, other) == overlap(other, one) == found


@given(PATTERNS, PATTERNS)
def test_covering_is_that_every_subject_of_the_other_falls_under_it(one, other):
    """Compared with trying every short subject."""
    assert covers(one, other) == all(oracle(one, subject) for subject in EVERY_SUBJECT if oracle(other, subject))


@given(st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True), st.sampled_from(["us", "eu", "ap"]))
def test_what_is_built_is_found_by_its_filters_alone(key, region):
    """An event's subject falls under its own filters, and under none of another region, kind or key."""
    declaration = declaration_of(CartIdle)
    built = subject(region, declaration, key)

    assert built == subject_of(region, CartIdle(cart_id=key, update_id="u"))
    assert matches(every(declaration), built)
    assert matches(every(declaration, region=region), built)
    assert matches(history_filter(region, "cart", key), built)
    assert not matches(every(declaration, region="other"), built)
    assert not matches(every(declaration_of(CustomerIdentified)), built)
    assert not matches(history_filter(region, "cart", key[:-1] + ("x" if key[-1] != "x" else "y")), built)
    assert not overlap(built, timer_subject(region, declaration, key))


def test_personal_events_have_another_root():
    """No link carries `pii`."""
    personal = CustomerIdentified(visitor_id="v1", email="a@example.test")

    assert subject_of("us", personal) == "pii.us.customer.identified.v1"
    assert history_filter("us", "customer", "v1", root="pii") == "pii.us.customer.*.v1"


@pytest.mark.parametrize("key", ["a.b", "*", ">", "", "a b"])
def test_no_builder_lets_an_illegal_key_through(key):
    """Every way to a subject checks its key."""
    declaration = declaration_of(CartIdle)
    for build in (
        lambda: subject("us", declaration, key),
        lambda: timer_subject("us", declaration, key),
        lambda: history_filter("us", "cart", key),
    ):
        with pytest.raises(InvalidKey):
            build()
