"""Whether variants are given as their shares say: seen where they are not, and hardly ever claimed where they are."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.experiments.ratio_check import SUSPECT, chance_of_ratio, chance_of_split
from notifications.journeys import parse
from notifications.journeys.steps import Variant
from notifications.studio.experiment_pages.split import split_of
from notifications.variants import allocate_variant

DAY = date(2026, 5, 4)
TEST = """template = "mail"
[[steps]]
name = "first"
[[steps.variants]]
name = "bold"
share = 30
[[steps.variants]]
name = "calm"
share = 70
[[steps.variants]]
name = "gone"
share = 0
"""
arms = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 100), min_size=2, max_size=6)


@given(arms, st.data())
def test_a_chance_is_one_whatever_is_counted_in_whatever_order(shares, data):
    """From 0 to 1, and the same for other names and for shares of another sum."""
    counts = {name: data.draw(st.integers(0, 100_000)) for name in shares}

    chance = chance_of_split(counts, shares)

    again = data.draw(st.permutations(list(shares)))
    other = chance_of_split({name: counts[name] for name in again}, {name: 7.0 * shares[name] for name in again})
    assert 0 <= chance <= 1
    assert other == pytest.approx(chance, rel=1e-6)


@given(st.integers(0, 50_000), st.integers(0, 50_000), st.floats(0.01, 0.99))
def test_of_two_it_is_the_check_of_the_holdout(first, second, share):
    """One method for both."""
    split = chance_of_split({"a": first, "b": second}, {"a": share, "b": 1 - share})

    assert split == pytest.approx(chance_of_ratio([(first, second, share)]), rel=1e-6)


@given(arms, st.integers(1, 2_000))
def test_the_exact_split_is_never_suspect(shares, times):
    """Whatever the shares and however many shoppers."""
    assert chance_of_split({name: share * times for name, share in shares.items()}, shares) == 1.0


@given(arms, st.data())
def test_a_variant_that_a_third_does_not_get_is_seen(shares, data):
    """Once the smallest should have 2,000 shoppers."""
    times = -(-2_000 // min(shares.values()))
    lost = data.draw(st.sampled_from(sorted(shares)))
    counts = {name: share * times for name, share in shares.items()}
    counts[lost] = counts[lost] * 2 // 3

    assert chance_of_split(counts, shares) < SUSPECT


def test_equal_variants_are_hardly_ever_suspect_however_often_one_looks():
    """Of 4,000 tests, looked at after each 100 shoppers, no more than the level lets: one in a thousand."""
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    drawn = np.random.default_rng(11).multinomial(100, list(shares.values()), size=(4_000, 30)).cumsum(axis=1)

    alarms = sum(
        any(chance_of_split(dict(zip(shares, map(int, counts), strict=True)), shares) < SUSPECT for counts in test)
        for test in drawn
    )

    assert alarms <= 4


def test_what_shoppers_are_really_given_is_not_suspect():
    """By the hash that allocates variants, in a hundred journeys of 1,000 shoppers."""
    variants = [Variant(name="bold", share=30), Variant(name="calm", share=70)]
    shares = {one.name: float(one.share) for one in variants}

    suspect = 0
    for journey in range(100):
        given_ = Counter(allocate_variant(f"v{n}", f"j{journey}", "e", variants).name for n in range(1_000))
        suspect += chance_of_split(given_, shares) < SUSPECT

    assert suspect == 0


def figures(**counts):
    return {f"0.5000/{name}/n": count for name, count in counts.items()}


def test_the_split_is_of_the_journeys_shares_since_the_test_began():
    """What was given before, by other shares, does not count, nor what is given to nobody any more."""
    journey = parse("sale", TEST, {})
    read = {
        ("us", DAY - timedelta(days=1)): {"sale/first": figures(bold=900, calm=100)},
        ("us", DAY): {"sale/first": figures(bold=200, calm=500, gone=40), "other/first": figures(bold=9_000)},
        ("eu", DAY): {"sale/first": figures(bold=100, calm=200)},
    }

    whole, since = (split_of(journey, journey.steps[0], read, day) for day in (None, DAY))

    assert [(one.variant, one.shoppers, one.share) for one in since.given] == [("bold", 300, 0.3), ("calm", 700, 0.7)]
    assert (whole.suspect, since.suspect) == (True, False)
    assert whole.words == (
        "bold was given to 1,200 shoppers (60.0 %) and should have 30.0 %; "
        "calm was given to 800 shoppers (40.0 %) and should have 70.0 %."
    )


def test_a_winner_is_given_to_all():
    """So there is nothing that chance could have done otherwise."""
    journey = parse("sale", TEST.replace('name = "first"\n', 'name = "first"\nwinner = "calm"\n'), {})

    assert split_of(journey, journey.steps[0], {}, None) is None
