"""The standing experiment: chances that add up, that are what happens, and that are written down."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.money import Money
from notifications.decision_input import DecisionInput
from notifications.evaluation import evaluate
from notifications.experiment import allocate, in_holdout
from notifications.journeys import Journey

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def journey(**changes):
    return Journey(**{"name": "test", "template": "abandoned-cart", **changes})


def inputs(**changes):
    fields = {
        "cart": "left",
        "cart_detail": "unchanged",
        "due": NOW - timedelta(seconds=1),
        "total": Money(amount=9000, currency="EUR"),
        "person": "ada",
        "email_known": True,
        "consent": {"email": True},
        "time_zone": "Europe/Berlin",
    }
    return DecisionInput(**{**fields, **changes})


def people(count):
    return (f"visitor-{at}" for at in range(count))


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.sets(st.integers(0, 20), min_size=1, max_size=5).map(sorted).map(tuple),
    st.data(),
)
def test_the_chances_of_all_arms_add_up_to_one(holdout, explore, depths, data):
    """Whatever is held out, explored and advised."""
    rules = journey(holdout=holdout, explore=explore)
    advised = data.draw(st.none() | st.integers(0, 20))

    allocations = [allocate(one, rules, depths=depths, advised=advised) for one in people(2000)]

    chances = {allocation.arm: allocation.probability for allocation in allocations}
    assert sum(chances.values()) <= 1 + 1e-9
    assert all(chance > 0 for chance in chances.values())
    assert {allocation.withheld for allocation in allocations} == {allocations[0].withheld}
    if 0.05 < holdout < 0.95 and 0.2 < explore < 0.95:  # then two thousand people have drawn every arm
        assert sum(chances.values()) == pytest.approx(1)
        assert chances["none"] == allocations[0].withheld


def test_the_chances_are_what_happens():
    """A hundred thousand shoppers are spread as the chances say, held out and by allocation together."""
    rules = journey(holdout=0.05, explore=0.1)

    allocations = [allocate(one, rules, depths=(0, 5, 10, 15), advised=10) for one in people(100_000)]

    happened = Counter(allocation.arm for allocation in allocations)
    chances = {allocation.arm: allocation.probability for allocation in allocations}
    assert set(happened) == {"none", "0", "5", "10", "15"}
    for arm, count in happened.items():
        error = (chances[arm] * (1 - chances[arm]) / len(allocations)) ** 0.5
        assert abs(count / len(allocations) - chances[arm]) < 5 * error
    assert chances["none"] == pytest.approx(0.05 + 0.95 * 0.1 / 5)
    assert chances["10"] == pytest.approx(0.95 * (0.1 / 5 + 0.9))


def test_holdout_and_lot_are_drawn_apart_and_always_the_same():
    """Who is held out says nothing about who is explored; and nobody's allocation ever changes."""
    rules = journey(holdout=0.5, explore=0.5)
    several = list(people(20_000))

    explored = [
        one for one in several if allocate(one, journey(explore=0.5), depths=(0,), advised=0).method == "random"
    ]
    both = [one for one in explored if in_holdout(one, rules)]

    assert 0.47 < len(both) / len(explored) < 0.53
    allocations = [[allocate(one, rules, depths=(0, 5), advised=0) for one in several[:200]] for _ in range(2)]
    assert allocations[0] == allocations[1]


def test_a_random_offer_is_recorded_with_its_probability():
    """Sent at whatever was drawn, or dropped at random: the assignment names the arm and what it was drawn with."""
    rules = journey(explore=1.0, discount_depths=(0, 5, 10, 15))

    evaluations = [evaluate(inputs(person=one), rules, NOW) for one in people(200)]

    assert {evaluation.assignment.arm for evaluation in evaluations} == {"none", "0", "5", "10", "15"}
    assert {evaluation.assignment.probability for evaluation in evaluations} == {0.2}
    assert all(evaluation.assignment.eligible for evaluation in evaluations)
    for evaluation in evaluations:
        if evaluation.assignment.arm == "none":
            assert (evaluation.outcome, evaluation.reason) == ("dropped", "no offer at random")
        else:
            assert (evaluation.outcome, str(evaluation.discount_percent)) == ("approved", evaluation.assignment.arm)


def test_the_lot_stays_within_the_marketers_bounds():
    """At most 8 EUR off 90 EUR is 8 %: 10 and 15 are never drawn; who returns anyway draws no discount at all."""
    rules = journey(explore=1.0, discount_depths=(0, 5, 10, 15), max_discount=("8 EUR",))

    drawn = {evaluate(inputs(person=one), rules, NOW).assignment.arm for one in people(200)}
    returning = {evaluate(inputs(person=one, propensity=0.95), rules, NOW).assignment.arm for one in people(200)}

    assert drawn == {"none", "0", "5"}
    assert returning == {"none", "0"}


def test_who_is_held_out_is_judged_when_the_others_are():
    """At night everyone waits: otherwise those held out would be counted who buy before the morning."""
    rules = journey(holdout=1.0, quiet="20:00-08:00")

    night = evaluate(inputs(time_zone="Asia/Tokyo"), rules, NOW)
    morning = evaluate(inputs(time_zone="Asia/Tokyo"), rules, night.held_until)

    assert (night.outcome, night.reason, night.assignment.eligible) == ("held", "quiet hours", False)
    assert (morning.outcome, morning.reason, morning.assignment.eligible) == ("dropped", "holdout", True)


def test_who_cannot_be_offered_anything_teaches_nothing():
    """No consent: whatever was drawn, the decision is not of the experiment."""
    evaluation = evaluate(inputs(consent={}), journey(explore=1.0, channels=("email",)), NOW)

    assert (evaluation.reason, evaluation.assignment.eligible) == ("no consent", False)
