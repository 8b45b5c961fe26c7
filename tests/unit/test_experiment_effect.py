"""What offers change: exact on small numbers, and no more false alarms than promised however often one looks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.experiments.effect import Sums, effect, enough, half_width
from notifications.experiments.ratio_check import SUSPECT, chance_of_ratio

DAYS, PER_DAY, RUNS = 60, 200, 300


def sums(y, x=None):
    """The sums over participants."""
    y = np.asarray(y, dtype=float)
    x = np.zeros_like(y) if x is None else np.asarray(x, dtype=float)
    return Sums(n=len(y), y=y.sum(), yy=(y * y).sum(), x=x.sum(), xx=(x * x).sum(), xy=(x * y).sum())


def shop(random, *, lift=0.0, control=0.3):
    """Runs of a shop, as arrays (run, day, shopper): who is in control, earlier spend, and revenue after.

    Revenue is as in shops: most buy nothing, some very much, and who bought before buys again.
    """
    size = (RUNS, DAYS, PER_DAY)
    habit = random.lognormal(0, 1, size)
    before = habit * random.poisson(0.5, size) * 20
    in_control = random.random(size) < control
    buys = random.random(size) < np.clip(0.05 * habit + lift * ~in_control, 0, 1)
    return in_control, before, buys * random.lognormal(3, 1, size)


def cumulated(values, chosen):
    """Per run, the running sum over days of the chosen shoppers' values."""
    return np.where(chosen, values, 0).sum(axis=2).cumsum(axis=1)


def daily_effects(data):
    """For each run and day, the effect of all participants so far."""
    in_control, x, y = data
    arms = [
        {
            name: cumulated(values, chosen)
            for name, values in {"n": np.ones_like(y), "y": y, "yy": y * y, "x": x, "xx": x * x, "xy": x * y}.items()
        }
        for chosen in (in_control, ~in_control)
    ]
    for run in range(RUNS):
        yield [effect([tuple(Sums(**{k: v[run, day] for k, v in arm.items()}) for arm in arms)]) for day in range(DAYS)]


def test_looking_every_day_raises_no_more_false_alarms_than_promised():
    """A/A: 300 shops without any effect, looked at on each of 60 days: at most 5 % ever claim one.

    An interval for a single look, tried in the same way, claims one three times as often.
    """
    alarms = fixed = 0
    for days in daily_effects(shop(np.random.default_rng(1))):
        alarms += any(one.is_known for one in days)
        fixed += any(abs(one.estimate) > 1.96 * one.deviation / one.n**0.5 for one in days)

    assert alarms <= 0.05 * RUNS
    assert fixed > 0.15 * RUNS


def test_a_true_effect_is_found_and_the_interval_holds_it():
    """With an effect of 5 points in 100: most shops find it within 60 days, and the interval holds the truth."""
    random = np.random.default_rng(2)
    truth = 0.05 * np.exp(3.5)  # the mean of the revenue of those who buy; no one's chance is near 1
    found = list(daily_effects(shop(random, lift=0.05)))

    assert sum(days[-1].is_known and days[-1].estimate > 0 for days in found) >= 0.8 * RUNS
    missed = sum(any(not one.low <= truth <= one.high for one in days[1:]) for days in found)
    assert missed <= 0.06 * RUNS


def test_what_was_known_before_makes_the_interval_narrower():
    """Where earlier spend foretells later spend, the same participants say more."""
    random = np.random.default_rng(3)
    before = random.lognormal(3, 1, 4_000)
    after = before * 0.8 + random.normal(0, 5, 4_000)
    control, treated = slice(0, 2_000), slice(2_000, 4_000)

    plain = effect([(sums(after[control]), sums(after[treated]))])
    cuped = effect([(sums(after[control], before[control]), sums(after[treated], before[treated]))])

    assert cuped.deviation < plain.deviation / 3


def test_strata_of_different_chances_are_not_mixed_up():
    """Simpson: the treated are mostly of the stratum that buys less, and still the effect is that within strata."""
    few = sums([1] * 90 + [0] * 10), sums([1] * 95 + [0] * 5)
    many = sums([1] * 10 + [0] * 90), sums([1] * 150 + [0] * 850)

    found = effect([few, many])

    assert found.estimate == pytest.approx((200 * 0.05 + 1100 * 0.05) / 1300)
    assert effect([(few[0], Sums()), (Sums(), many[1])]) is None


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=30),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=30),
)
def test_sums_are_enough(control, treated):
    """From sums alone the same comes out as from the participants themselves, by least squares within arms."""
    (y0, x0), (y1, x1) = (np.array(list(zip(*arm, strict=True)), dtype=float) for arm in (control, treated))
    centred_x = np.concatenate([x0 - x0.mean(), x1 - x1.mean()])
    centred_y = np.concatenate([y0 - y0.mean(), y1 - y1.mean()])
    slope = centred_x @ centred_y / (centred_x @ centred_x) if centred_x.any() else 0.0
    left0, left1 = y0 - slope * x0, y1 - slope * x1
    deviation = np.sqrt((left0.var(ddof=1) / len(y0) + left1.var(ddof=1) / len(y1)) * (len(y0) + len(y1)))

    found = effect([(sums(y0, x0), sums(y1, x1))])

    assert found.estimate == pytest.approx(left1.mean() - left0.mean(), abs=1e-9)
    assert found.deviation == pytest.approx(deviation, abs=1e-6)
    assert found.high - found.low == pytest.approx(2 * half_width(found.n, found.deviation))


def test_how_many_more_participants_it_takes():
    """If the difference stays what it is, the interval excludes none at that number and not much before."""
    found = effect([(sums([1] * 30 + [0] * 270), sums([1] * 80 + [0] * 620))])

    needed = found.participants_until_known()

    assert not found.is_known
    assert half_width(needed, found.deviation) < found.estimate <= half_width(int(needed * 0.99), found.deviation)
    assert effect([(sums([0, 1] * 50), sums([0, 1] * 50))]).participants_until_known() is None


def test_small_arms_say_nothing_yet():
    """Few participants, or few who bought, are too few for an interval that is right for many."""
    assert enough([(200, 10), (5_000, 400)])
    assert not enough([(199, 100), (5_000, 400)])
    assert not enough([(5_000, 9), (5_000, 400)])


def test_numbers_that_chance_does_not_explain_are_suspect():
    """A tenth that lost every twentieth member is found out with many; the right numbers are not."""
    assert chance_of_ratio([(10_000, 90_000, 0.1)]) == 1.0
    assert chance_of_ratio([(9_500, 90_000, 0.1)]) < SUSPECT
    assert chance_of_ratio([(950, 9_000, 0.1)]) > SUSPECT
    assert chance_of_ratio([(5, 0, 1.0), (0, 5, 0.0)]) == 1.0


def test_the_ratio_may_be_checked_every_day():
    """300 right experiments, looked at on each of 60 days, with a bound of 5 %: at most 5 % are ever suspected."""
    random = np.random.default_rng(4)
    first = (random.random((RUNS, DAYS, PER_DAY)) < 0.2).sum(axis=2).cumsum(axis=1)
    n = np.arange(1, DAYS + 1) * PER_DAY

    suspected = sum(
        any(chance_of_ratio([(first[run, day], n[day] - first[run, day], 0.2)]) < 0.05 for day in range(DAYS))
        for run in range(RUNS)
    )

    assert suspected <= 0.05 * RUNS
