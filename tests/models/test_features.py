"""Features have two faces, on line and off line, and both show the same."""

import math

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ml import dataset
from ml.features import catalogue, names
from ml.shopper import Portrait, Shopper
from ml.steps import Step

PRODUCTS = ["p1", "p2", "p3", "p4"]


@st.composite
def histories(draw):
    """One visitor's steps as the mesh tells them, with a few moments between, in time order."""
    at, steps = 1_570_000_000.0, []
    for index in range(draw(st.integers(0, 30))):
        at += draw(st.sampled_from([0.0, 0.5, 3.25, 60.0, 1800.0, 90_000.0]))
        kind = draw(
            st.sampled_from(["view", "view", "view", "cart", "cart", "purchase", "search", "checkout", "moment"])
        )
        session = draw(st.sampled_from(["s1", "s2", "s3"]))
        step = Step(at, f"e{index:03}", kind, session)
        if kind == "view":
            step = replace(
                step,
                product=draw(st.sampled_from([*PRODUCTS, None])),
                price=draw(st.sampled_from([0.0, 9.99, 1200.0])),
                device=draw(st.sampled_from([None, "mobile", "desktop"])),
                referrer=draw(st.sampled_from([None, "", "https://search.example"])),
            )
        if kind == "cart":
            products = tuple(draw(st.lists(st.sampled_from(PRODUCTS), unique=True, max_size=4)))
            worth = draw(st.floats(0, 500))
            step = replace(step, products=products, cart_lines=len(products), cart_value=worth)
        steps.append(step)
    return steps


@settings(max_examples=100, deadline=None)
@given(histories(), histories())
def test_every_feature_is_the_same_on_line_and_off_line(one, other):
    """Given random histories, what was learnt step by step equals what one expression says of every row."""
    frame = dataset.with_features(dataset.frame({"a": one, "b": other}))

    for visitor, steps in (("a", one), ("b", other)):
        told = frame.filter(pl.col("visitor") == visitor)
        rows = iter(told.select([f"feature_{name}" for name in names()]).rows())
        portrait = Portrait()
        for step in sorted(steps, key=lambda s: (s.at, s.kind == "moment", s.id)):
            for unfolded in portrait.unfolding.unfold(step):
                if unfolded.kind != "moment":
                    portrait.learn(unfolded)
                known = portrait.vector(unfolded.at, unfolded.session)
                for name, expected, actual in zip(names(), known, next(rows), strict=True):
                    assert math.isclose(expected, actual, rel_tol=1e-9, abs_tol=1e-6), (name, expected, actual)


@settings(max_examples=60, deadline=None)
@given(histories(), st.randoms())
def test_the_order_of_arrival_does_not_matter(steps, random):
    """Given steps that arrive in any order and some twice, a shopper looks the same."""
    steps = [step for step in steps if step.kind != "moment"]
    shuffled = steps + steps[:5]
    random.shuffle(shuffled)
    now = (steps[-1].at if steps else 0.0) + 60

    expected, actual = Shopper(steps), Shopper()
    for step in shuffled:
        actual.learn(step)

    assert expected.vector(now, "s1") == actual.vector(now, "s1")


@settings(max_examples=40, deadline=None)
@given(histories(), histories())
def test_no_feature_sees_the_future(past, future):
    """Given events planted after a point, nothing that was known at the point changes."""
    end = past[-1].at if past else 1_570_000_000.0
    later = [replace(step, at=step.at - 1_570_000_000.0 + end + 1, id=f"f{step.id}") for step in future]

    without = dataset.with_features(dataset.frame({"a": past}))
    planted = dataset.with_features(dataset.frame({"a": [*past, *later]})).head(len(without))

    assert without.equals(planted)


def test_features_are_found_and_named_once():
    """Every class in the folder with an expression is in the registry, under a name of its own."""
    assert len(set(names())) == len(catalogue()) >= 20
    assert list(names()) == sorted(names())
