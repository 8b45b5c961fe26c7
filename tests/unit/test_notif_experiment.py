"""The standing experiment: chances that add up, that are what happens, and that are written down."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.money import Money
from notifications.experiment import draw, in_holdout
from notifications.facts import Facts
from notifications.journeys import Journey
from notifications.judgement import judge

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def journey(**changes):
    return Journey(**{"name": "test", "template": "abandoned-cart", **changes})


def facts(**changes):
    told = {
        "cart": "left",
        "cart_detail": "unchanged",
        "due": NOW - timedelta(seconds=1),
        "total": Money(amount=9000, currency="EUR"),
        "person": "ada",
        "email_known": True,
        "consent": {"email": True},
        "time_zone": "Europe/Berlin",
    }
    return Facts(**{**told, **changes})


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

    lots = [draw(one, rules, depths=depths, advised=advised) for one in people(2000)]

    chances = {lot.arm: lot.probability for lot in lots}
    assert sum(chances.values()) <= 1 + 1e-9
    assert all(chance > 0 for chance in chances.values())
    assert {lot.withheld for lot in lots} == {lots[0].withheld}
    if 0.05 < holdout < 0.95 and 0.2 < explore < 0.95:  # then two thousand people have drawn every arm
        assert sum(chances.values()) == pytest.approx(1)
        assert chances["none"] == lots[0].withheld


def test_the_chances_are_what_happens():
    """A hundred thousand shoppers are spread as the chances say, held out and by lot together."""
    rules = journey(holdout=0.05, explore=0.1)

    lots = [draw(one, rules, depths=(0, 5, 10, 15), advised=10) for one in people(100_000)]

    happened = Counter(lot.arm for lot in lots)
    chances = {lot.arm: lot.probability for lot in lots}
    assert set(happened) == {"none", "0", "5", "10", "15"}
    for arm, count in happened.items():
        error = (chances[arm] * (1 - chances[arm]) / len(lots)) ** 0.5
        assert abs(count / len(lots) - chances[arm]) < 5 * error
    assert chances["none"] == pytest.approx(0.05 + 0.95 * 0.1 / 5)
    assert chances["10"] == pytest.approx(0.95 * (0.1 / 5 + 0.9))


def test_holdout_and_lot_are_drawn_apart_and_always_the_same():
    """Who is held out says nothing about who is explored; and nobody's lot ever changes."""
    rules = journey(holdout=0.5, explore=0.5)
    several = list(people(20_000))

    explored = [one for one in several if draw(one, journey(explore=0.5), depths=(0,), advised=0).how == "drawn"]
    both = [one for one in explored if in_holdout(one, rules)]

    assert 0.47 < len(both) / len(explored) < 0.53
    lots = [[draw(one, rules, depths=(0, 5), advised=0) for one in several[:200]] for _ in range(2)]
    assert lots[0] == lots[1]


def test_an_offer_by_lot_is_written_with_its_chance():
    """Sent at whatever was drawn, or dropped by lot: the assignment names the arm and what it was drawn with."""
    rules = journey(explore=1.0, discount_depths=(0, 5, 10, 15))

    verdicts = [judge(facts(person=one), rules, NOW) for one in people(200)]

    assert {verdict.assignment.arm for verdict in verdicts} == {"none", "0", "5", "10", "15"}
    assert {verdict.assignment.probability for verdict in verdicts} == {0.2}
    assert all(verdict.assignment.eligible for verdict in verdicts)
    for verdict in verdicts:
        if verdict.assignment.arm == "none":
            assert (verdict.outcome, verdict.reason) == ("dropped", "no offer by lot")
        else:
            assert (verdict.outcome, str(verdict.discount_percent)) == ("approved", verdict.assignment.arm)


def test_the_lot_stays_within_the_marketers_bounds():
    """At most 8 EUR off 90 EUR is 8 %: 10 and 15 are never drawn; who returns anyway draws no discount at all."""
    rules = journey(explore=1.0, discount_depths=(0, 5, 10, 15), max_discount=("8 EUR",))

    drawn = {judge(facts(person=one), rules, NOW).assignment.arm for one in people(200)}
    returning = {judge(facts(person=one, propensity=0.95), rules, NOW).assignment.arm for one in people(200)}

    assert drawn == {"none", "0", "5"}
    assert returning == {"none", "0"}


def test_who_is_held_out_is_judged_when_the_others_are():
    """At night everyone waits: otherwise those held out would be counted who buy before the morning."""
    rules = journey(holdout=1.0, quiet="20:00-08:00")

    night = judge(facts(time_zone="Asia/Tokyo"), rules, NOW)
    morning = judge(facts(time_zone="Asia/Tokyo"), rules, night.held_until)

    assert (night.outcome, night.reason, night.assignment.eligible) == ("held", "quiet hours", False)
    assert (morning.outcome, morning.reason, morning.assignment.eligible) == ("dropped", "holdout", True)


def test_who_cannot_be_offered_anything_teaches_nothing():
    """No consent: whatever was drawn, the decision is not of the experiment."""
    verdict = judge(facts(consent={}), journey(explore=1.0), NOW)

    assert (verdict.reason, verdict.assignment.eligible) == ("no consent", False)
