"""Forms of an audience: one tree means the same as a function, on bits beside many others, and in polars."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.money import Money
from notifications.conditions.check import MOST_LEVELS, check
from notifications.conditions.closures import compile_audience, compile_truth
from notifications.conditions.expressions import audience_expression, frame_of, truth_expression
from notifications.conditions.fields import FIELDS
from notifications.conditions.file_form import audience_table, read_audience
from notifications.conditions.live_audiences import LiveAudiences
from notifications.conditions.matcher import Matcher
from notifications.conditions.operators import ORDERED, Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not
from notifications.conditions.words import explained, sentence_of

TEXTS = ("de", "fr", "lamp", "Dolce, Gabbana", 'so "x"')
WRITTEN = {"shopper.language": ("de", "fr"), "shopper.time_zone": ("Europe/Vienna", "Asia/Tokyo", "UTC")}
"""Texts of fields that take no others."""
AMOUNTS = (0, 1, 2500, 5000, 5001)
NUMBERS = (0.0, 1.0, 2.0, 29.9999, 30.0, 100.0)
CURRENCIES = ("EUR", "JPY", "KWD")


def _amount(minor, currency):
    digits = {"EUR": 2, "JPY": 0, "KWD": 3}[currency]
    return f"{minor / 10**digits:.{digits}f} {currency}"


def values(field):
    """What a field may hold, on and beside the limits of `comparisons`."""
    known = {
        Type.MONEY: st.builds(Money, amount=st.sampled_from(AMOUNTS), currency=st.sampled_from((*CURRENCIES, "SEK"))),
        Type.NUMBER: st.sampled_from((*NUMBERS, 0.5, 31.0)),
        Type.TEXT: st.sampled_from((*WRITTEN.get(field.name, TEXTS), "other")),
        Type.TEXTS: st.lists(st.sampled_from((*TEXTS, "other")), max_size=3, unique=True).map(tuple),
        Type.YES_NO: st.booleans(),
    }[field.type]
    return st.one_of(st.none(), known)


FACTS = st.fixed_dictionaries({name: values(field) for name, field in FIELDS.items()})


@st.composite
def comparisons(draw):
    """Any valid comparison."""
    field = FIELDS[draw(st.sampled_from(sorted(FIELDS)))]
    operator = field.operators[draw(st.sampled_from(sorted(field.operators)))]
    value = None
    if operator.takes_value and field.type is Type.MONEY:
        chosen = draw(st.lists(st.sampled_from(CURRENCIES), min_size=1, max_size=3, unique=True))
        value = tuple(_amount(draw(st.sampled_from(AMOUNTS)), currency) for currency in chosen)
    elif operator.takes_value and field.type is Type.NUMBER:
        value = draw(st.sampled_from(NUMBERS))
    elif operator.takes_value:
        texts = WRITTEN.get(field.name, TEXTS)
        value = tuple(draw(st.lists(st.sampled_from(texts), min_size=1, max_size=2, unique=True)))
    return Comparison(field=field.name, operator=operator.name, value=value)


def _groups(inner):
    many = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(st.builds(AllOf, of=many), st.builds(AnyOf, of=many), st.builds(Not, of=inner))


TREES = st.recursive(comparisons(), _groups, max_leaves=8).filter(lambda tree: _levels(tree) <= MOST_LEVELS)


def _levels(tree):
    if isinstance(tree, Comparison):
        return 0
    return 1 + max(map(_levels, (tree.of,) if isinstance(tree, Not) else tree.of))


@settings(max_examples=80, deadline=None)
@given(st.lists(TREES, min_size=1, max_size=6), st.lists(FACTS, min_size=1, max_size=8))
def test_a_tree_means_the_same_in_every_form(trees, rows):
    """As functions, on bits beside others, and in polars, for the three values of truth, whatever is not known."""
    matcher = Matcher({str(at): tree for at, tree in enumerate(trees)})
    asked = [truth_expression(tree).alias(f"{at}") for at, tree in enumerate(trees)]
    belongs = [audience_expression(tree).alias(f"{at}") for at, tree in enumerate(trees)]
    frame = frame_of(rows)

    expected = [[compile_truth(tree)(row) for tree in trees] for row in rows]
    bits = [[str(at) in matcher.matching(row) for at in range(len(trees))] for row in rows]

    assert [list(row) for row in frame.select(asked).rows()] == expected
    assert [list(row) for row in frame.select(belongs).rows()] == [[one is True for one in row] for row in expected]
    assert bits == [[one is True for one in row] for row in expected]
    assert [[compile_audience(tree)(row) for tree in trees] for row in rows] == bits


@settings(max_examples=60, deadline=None)
@given(TREES, FACTS)
def test_a_tree_is_read_as_it_is_written(tree, facts):
    """In a journey's file and as JSON; it is valid, and there are words for it and for what a cart says to it."""
    check(tree)

    assert read_audience(audience_table(tree)) == tree
    assert msgspec.json.decode(msgspec.json.encode(tree), type=Condition) == tree
    assert sentence_of(tree)
    assert explained(tree, facts, belongs=compile_audience(tree)(facts))


AUDIENCES = st.sampled_from([None, *(Comparison(field="cart.lines", operator=one, value=2) for one in ORDERED)])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 24), AUDIENCES), min_size=25, max_size=50), FACTS)
def test_what_was_published_last_counts(published, facts):
    """Whenever the audiences are put on bits again, after however many were published."""
    live, newest = LiveAudiences(), {}
    for name, tree in published:
        live.set(f"{name}", tree)
        newest[f"{name}"] = tree

        assert live.matching(facts) == {
            one for one, audience in newest.items() if audience is None or compile_audience(audience)(facts)
        }
