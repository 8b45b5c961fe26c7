"""Features have two faces, on line and off line, and both show the same."""

import math
import subprocess
import sys
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ml.clickstream.steps import MOST_PRODUCTS, MOST_WORTH, Step, sane, zone
from ml.features import catalogue, digest, names
from ml.features.visit_number import MOST_VISITS
from ml.scoring.shopper import MOST_STEPS, Shopper, VisitorFeatures
from ml.training import dataset

START = 1_570_000_000.0
PRODUCTS = ["p1", "p2", "p3", "p4"]
PRICES = [0.0, 9.99, 1200.0, 33.335, -5.0, float("nan"), float("inf")]


@st.composite
def histories(draw, most=30):
    """One visitor's steps as the mesh delivers them, in no order, with a few moments between.

    Many happen at the same time, sessions overlap and return, carts are emptied, and some are bought unseen.
    """
    at, steps = START, []
    for index in range(draw(st.integers(0, most))):
        at = max(START, at + draw(st.sampled_from([0.0, 0.0, 0.5, 3.25, 60.0, 1800.0, 90_000.0, -0.5, -4000.0])))
        kind = draw(
            st.sampled_from(["view", "view", "view", "cart", "cart", "purchase", "search", "checkout", "moment"])
        )
        session = draw(st.sampled_from(["s1", "s2", "s3"]))
        step = Step(at, f"e{index:03}", kind, session)
        if kind == "view":
            step = replace(
                step,
                product=draw(st.sampled_from([*PRODUCTS, None])),
                price=sane(draw(st.sampled_from(PRICES))),
                device=draw(st.sampled_from([None, "mobile", "desktop"])),
                referrer=draw(st.sampled_from([None, "", "https://search.example"])),
                utc_offset=zone(draw(st.sampled_from([None, 0, -720, 345, 840, 100_000]))),
            )
        if kind == "cart":
            products = tuple(draw(st.lists(st.sampled_from(PRODUCTS), unique=True, max_size=4)))
            worth = draw(st.one_of(st.floats(0, 500), st.just(MOST_WORTH))) if products else 0.0
            offset = draw(st.sampled_from([None, -60]))
            step = replace(step, products=products, cart_lines=len(products), cart_value=worth, utc_offset=offset)
        if kind == "purchase":
            step = replace(step, price=sane(draw(st.sampled_from(PRICES))))
        steps.append(step)
    return steps


def in_order(steps):
    return sorted(steps, key=lambda s: (s.at, s.kind == "moment", s.id))


def assert_same(expected, actual, about):
    for name, one, other in zip(names(), expected, actual, strict=True):
        assert other is not None, (name, about)
        assert math.isfinite(one), (name, one, about)
        assert math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6), (name, one, other, about)


def assert_two_faces(shoppers):
    """Every feature is the same at every step of these shoppers, learnt step by step and as one expression."""
    frame = dataset.with_features(dataset.frame(shoppers))
    computed = {key[0]: rows for key, rows in frame.partition_by("visitor", as_dict=True).items()}
    for visitor, steps in shoppers.items():
        rows = iter(computed[visitor].select([f"feature_{name}" for name in names()]).rows() if steps else [])
        features = VisitorFeatures()
        for step in in_order(steps):
            for expanded in features.expander.expand(step):
                if expanded.kind != "moment":
                    features.learn(expanded)
                assert_same(features.vector(expanded.at, expanded.session), next(rows), (visitor, step))
        assert next(rows, None) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(histories(), min_size=1, max_size=6))
def test_every_feature_is_the_same_on_line_and_off_line(histories):
    """Given random histories, what was learnt step by step equals what one expression says of every row."""
    assert_two_faces({f"v{n}": steps for n, steps in enumerate(histories)})


def test_one_event_has_all_features():
    """A visitor with a single step of any kind, or a moment alone, has every feature in both faces."""
    kinds = ["view", "cart", "purchase", "search", "checkout", "moment"]

    assert_two_faces({kind: [Step(START, "e", kind, "s1")] for kind in kinds} | {"nobody": []})


def test_no_steps_at_all_are_no_rows_with_all_features():
    """An empty frame has every feature's column and no row."""
    rows = dataset.with_features(dataset.frame({}))

    assert rows.columns == [*dataset.COLUMNS, *(f"feature_{name}" for name in names())]
    assert len(rows) == 0


def test_memory_of_a_session_is_bounded_and_both_faces_know_it():
    """Of very many products and visits only the first are distinguished, on line as off line."""
    products = [
        Step(START + n, f"e{n:05}", ("view", "cart")[n % 7 == 0], "s1", f"p{n % 400}", products=(f"p{n % 400}",))
        for n in range(900)
    ]
    visits = [Step(START + n, f"e{n:05}", "view", f"s{n}", "p1") for n in range(MOST_VISITS + 20)]

    assert_two_faces({"products": products, "visits": visits})
    features = VisitorFeatures()
    for step in products:
        features.update(step)
    assert dict(zip(names(), features.vector(0, "s1"), strict=True))["unique_products"] == MOST_PRODUCTS


@settings(max_examples=40, deadline=None)
@given(histories(), st.randoms())
def test_the_order_of_arrival_does_not_matter(steps, random):
    """Given steps that arrive in any order and some twice, a shopper looks the same."""
    steps = [step for step in steps if step.kind != "moment"]
    shuffled = steps + steps[:5]
    random.shuffle(shuffled)
    now = max((step.at for step in steps), default=0.0) + 60

    expected, actual = Shopper(steps), Shopper()
    for step in shuffled:
        actual.learn(step)
        actual.vector(now, "s1")

    assert expected.vector(now, "s1") == actual.vector(now, "s1")


@settings(max_examples=40, deadline=None)
@given(histories(), histories(), histories())
def test_no_feature_sees_the_future(past, future, other):
    """Given events planted after a point, nothing that was known at the point changes."""
    end = max((step.at for step in past), default=START)
    later = [replace(step, at=step.at - START + end + 1, id=f"f{step.id}") for step in future]

    without = dataset.with_features(dataset.frame({"a": past, "b": other}))
    planted = dataset.with_features(dataset.frame({"a": [*past, *later], "b": other}))

    assert without.equals(planted.filter((pl.col("visitor") != "a") | (pl.col("at") <= end)))


@settings(max_examples=25, deadline=None)
@given(histories(), histories())
def test_a_planted_future_changes_labels_alone(past, future):
    """Given a future planted behind the points that are asked, their features stay, whatever becomes of the labels."""
    end = max((step.at for step in past), default=START)
    later = [replace(step, at=step.at - START + end + 1, id=f"f{step.id}") for step in future]
    last = [Step(end + 1e8, "z", "view", "s9")]

    horizon = timedelta(hours=24)
    without = dataset.points(dataset.frame({"a": past, "z": last}), horizon=horizon)
    planted = dataset.points(dataset.frame({"a": [*past, *later], "z": last}), horizon=horizon)

    assert without.drop("label").equals(planted.filter(pl.col("at") <= end).drop("label"))


@settings(max_examples=25, deadline=None)
@given(st.lists(histories(), min_size=1, max_size=4), st.integers(0, 29))
def test_evidence_can_be_computed_again_from_the_log(histories, at):
    """What a shopper's features were when a score was made follows from the log of all that happened until then."""
    shoppers = {f"v{n}": [step for step in steps if step.kind != "moment"] for n, steps in enumerate(histories)}
    asked, expected = [], []
    for visitor, steps in shoppers.items():
        past = in_order(steps)[: at + 1]
        now = past[-1].at if past else START
        known = Shopper(step for step in steps if step.at <= now)
        evidence = known.evidence(now, "s2")
        asked.append((visitor, "s2", evidence.at.timestamp()))
        expected.append(evidence)

    schema = {"visitor": pl.String, "session": pl.String, "at": pl.Float64}
    questions = pl.DataFrame(asked, schema=schema, orient="row")
    answers = dataset.at_moment(dataset.frame(shoppers), questions)

    assert answers.select(questions.columns).equals(questions)
    assert answers["steps"].to_list() == [evidence.steps for evidence in expected]
    for evidence, answer in zip(expected, answers.select(names()).rows(), strict=True):
        assert_same(evidence.values, answer, evidence)
        assert evidence.features_digest == digest()


def test_what_is_no_longer_kept_is_still_known_when_a_step_comes_late():
    """Given more steps than are kept, a late one joins the newest, and counts of all stay whole."""
    steps = [Step(START + 10 * n, f"e{n:05}", "view", f"s{n // 40}", f"p{n % 7}") for n in range(3 * MOST_STEPS)]
    late = steps.pop(-5)
    shopper = Shopper(steps)
    before = shopper.evidence(START + 1e6, "s8")

    assert shopper.learn(late)
    after = shopper.evidence(START + 1e6, "s8")

    assert (before.steps, after.steps) == (3 * MOST_STEPS - 1, 3 * MOST_STEPS)
    assert_same(Shopper(in_order([*steps, late])).vector(START + 1e6, "s8"), after.values, "late")
    assert len(shopper.steps) == MOST_STEPS


def test_a_session_that_goes_on_outlives_those_that_came_after_it():
    """Given one session that keeps returning among many others, what it did is never forgotten."""
    steps = [
        Step(START + n, f"e{n:05}", "view", "s1" if n % 3 == 0 else f"t{n}", "p1", utc_offset=60) for n in range(90)
    ]

    expected = dict(zip(names(), Shopper(steps).vector(START + 90, "s1"), strict=True))

    assert (expected["views"], expected["top_product_views"], expected["visit_number"]) == (30, 30, 61)


def test_the_hour_is_the_shoppers():
    """Given a shopper five and three quarter hours east of Greenwich, hour and weekday are theirs."""
    sunday = 1_570_319_400.0  # 2019-10-05 23:50 UTC, a Saturday there; Sunday 05:35 in Kathmandu
    shopper = Shopper([Step(sunday, "e1", "view", "s1", "p1", utc_offset=345)])

    known = dict(zip(names(), shopper.vector(sunday, "s1"), strict=True))

    assert (known["hour"], known["weekday"]) == (5, 6)


@pytest.mark.parametrize("feature", catalogue(), ids=lambda feature: feature.name)
def test_a_feature_describes_its_value(feature):
    """Every value that a feature takes can be said to a person."""
    for value in (-1.0, 0.0, 0.5, 1.0, 3.0, 1e7):
        assert feature.describe(value)


def test_features_are_found_and_named_once():
    """Every file in the folder is a feature of that name."""
    assert len(set(names())) == len(catalogue()) >= 30
    assert list(names()) == sorted(names())


def test_serving_needs_no_polars():
    """A process that computes features on line never imports what they need off line."""
    script = (
        "import sys; from ml.scoring.shopper import Shopper; from ml.clickstream.steps import Step;"
        "Shopper([Step(1.0, 'e', 'view', 's')]).evidence(2.0, 's'); sys.exit('polars' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
