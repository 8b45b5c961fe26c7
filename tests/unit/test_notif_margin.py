"""Margin: the discount that leaves the most money is taken, and nothing where nothing pays."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.events.user import Advice, Arm
from mesh.money import Money
from notifications.decision_input import DecisionInput
from notifications.evaluation import evaluate
from notifications.journeys import Journey
from notifications.margin import allowed_discounts, choose_discount, margin_gain

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RULES = {"discount_depths": (0, 5, 10, 15), "margin_percent": 40.0, "contact_cost": ("0.10 EUR",)}


def journey(**changes):
    return Journey(**{"name": "test", "template": "abandoned-cart", **RULES, **changes})


def inputs(**changes):
    fields = {
        "cart": "left",
        "cart_detail": "unchanged",
        "due": NOW - timedelta(seconds=1),
        "total": Money(amount=10_000, currency="EUR"),
        "person": "ada",
        "email_known": True,
        "consent": {"email": True},
    }
    return DecisionInput(**{**fields, **changes})


def advice(unaided, **arms):
    """`_10=0.3`: a discount of 10 % makes 30 % buy."""
    arms_ = tuple(Arm(discount_percent=int(name[1:]), purchase=chance) for name, chance in arms.items())
    return Advice(version="v1", decision="target", explanation="choosing recipients helps", unaided=unaided, arms=arms_)


def test_the_gain_is_margin_with_the_offer_less_its_cost_less_margin_without():
    """100 EUR, 40 % margin: 0.30 x 30 EUR - 0.10 EUR - 0.20 x 40 EUR = 0.90 EUR."""
    found = margin_gain(Money(amount=10_000, currency="EUR"), journey(), advice(0.2, _10=0.3), 10)

    assert found == pytest.approx(90)


def test_the_discount_that_pays_best_is_sent():
    """A reminder gains 1.90 EUR, 10 % gains 0.90 EUR, 15 % loses: the reminder it is, with the figures in words."""
    advised = advice(0.2, _0=0.25, _10=0.3, _15=0.31)

    evaluation = evaluate(inputs(advice=advised), journey(), NOW)

    (check,) = [one for one in evaluation.checks if one.name == "worth it"]
    assert (evaluation.outcome, evaluation.discount_percent, evaluation.assignment.arm) == ("approved", 0, "0")
    assert check.value == "0 %: 25.0% buy instead of 20.0%, +1.90 EUR margin; choosing recipients helps"


def test_nothing_is_sent_where_nothing_pays():
    """A shopper whom no offer changes costs a discount: dropped, and the check says what it would have cost."""
    evaluation = evaluate(inputs(advice=advice(0.3, _0=0.3, _10=0.31)), journey(), NOW)

    (check,) = [one for one in evaluation.checks if not one.passed]
    assert (evaluation.outcome, evaluation.reason, evaluation.assignment.arm) == ("dropped", "not worth it", "none")
    assert (check.name, check.value.split(";")[0]) == ("worth it", "0 %: 30.0% buy instead of 30.0%, -0.10 EUR margin")
    assert evaluation.assignment.eligible


def test_without_advice_the_journeys_own_discount_is_sent():
    """As long as it is not known what offers change, or nothing allowed was tried, the journey decides."""
    unknown = evaluate(inputs(), journey(discount_percent=10), NOW)
    untried = evaluate(inputs(advice=advice(0.2, _20=0.9)), journey(discount_percent=10), NOW)

    assert (unknown.outcome, unknown.discount_percent) == ("approved", 10)
    assert (untried.outcome, untried.discount_percent) == ("approved", 10)
    assert [one.value for one in unknown.checks if one.name == "worth it"] == [
        "10 %, as the journey says: not known yet what offers change"
    ]


def test_an_offer_by_lot_is_sent_even_where_none_pays():
    """Otherwise it would never be known when that changes."""
    rules = journey(explore=1.0)
    advised = advice(0.3, _0=0.3, _10=0.3)

    evaluations = [evaluate(inputs(advice=advised, person=f"v{at}"), rules, NOW) for at in range(100)]

    assert {evaluation.assignment.arm for evaluation in evaluations} == {"none", "0", "5", "10", "15"}
    assert {evaluation.outcome for evaluation in evaluations} == {"approved", "dropped"}


def test_who_returns_unaided_gets_no_discount_whatever_it_promises():
    """`no_discount_from` is a bound of the marketer's, not advice."""
    advised = advice(0.2, _0=0.25, _15=0.9)

    assert choose_discount(inputs(advice=advised, propensity=0.95), journey()).percent == 0
    assert choose_discount(inputs(advice=advised, propensity=0.5), journey()).percent == 15


def test_limits_on_money_leave_only_the_depths_below_them():
    """At most 7 EUR off 100 EUR: 0 and 5 %; where every depth is above the limit, the limit."""
    assert allowed_discounts(inputs(), journey(max_discount=("7 EUR",))) == (0, 5)
    assert allowed_discounts(inputs(), journey(max_discount=("7 EUR",), discount_depths=(10, 15))) == (7,)
    assert allowed_discounts(inputs(), journey(discount_depths=(), discount_percent=10)) == (10,)


@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.sampled_from([0, 5, 10, 15, 20]), st.floats(0, 1)), max_size=5, unique_by=lambda one: one[0]),
    st.integers(1, 10**6),
    st.floats(1, 100),
)
def test_no_allowed_discount_would_have_been_better(unaided, arms, amount, margin):
    """What is taken gains more than nothing and no less than any other that is allowed and known."""
    advised = advice(unaided, **{f"_{depth}": chance for depth, chance in arms})
    given_ = inputs(advice=advised, total=Money(amount=amount, currency="EUR"))
    rules = journey(margin_percent=margin)

    choice = choose_discount(given_, rules)

    gains = {
        depth: margin_gain(given_.total, rules, advised, depth)
        for depth, _ in arms
        if depth in allowed_discounts(given_, rules)
    }
    if choice.percent is None:
        assert all(one <= 0 for one in gains.values())
    elif gains:
        assert gains[choice.percent] == max(gains.values()) > 0
