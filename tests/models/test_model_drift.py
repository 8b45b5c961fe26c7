"""Drift is said where carts or outcomes are no longer what a model was trained on, and nowhere else."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartScored
from mesh.events.user import Evidence
from mesh.publish import Draft
from ml.features import digest, names
from ml.lifecycle.drift import LEAST_CARTS, judge, shapes, stability
from ml.lifecycle.registry import Registry
from ml.lifecycle.review import drifted
from ml.lifecycle.version import Version

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def rows(count, seed=1, shift=0.0):
    """Two features: one spread widely, one that is nearly always zero."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.normal(5 + shift, 1, count), rng.binomial(1, 0.05, count).astype(float)])


def test_the_index_is_that_of_the_textbook():
    """Sum of (q - p) ln(q / p): half of the rows moved from one bin to the other."""
    (shape,) = shapes(np.array([[0.0], [0.0], [1.0], [1.0]]), ["views"])

    index = stability(shape, np.array([0.0, 1.0, 1.0, 1.0]))

    assert shape.shares == (0.0, 0.5, 0.5)
    assert index == pytest.approx((0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5))


def test_the_same_shoppers_have_not_drifted():
    """Other carts of the same kind move no index far."""
    known = shapes(rows(5000), ["views", "searches"])

    found = judge(known, rows(LEAST_CARTS, seed=2), outcomes=600, calibration_error=0.03)

    assert not found.drifted
    assert found.largest < 0.2
    assert found.description == (
        "no feature moved in 200 carts. its scores are off by 3.0% on average over 600 carts whose outcome is known"
    )


def test_what_moved_is_named_with_how_far():
    """The farthest first, each with a description that says where."""
    known = shapes(rows(5000), ["views", "searches"])

    found = judge(known, rows(400, seed=2, shift=2.0))

    assert found.drifted
    assert [shift.feature for shift in found.shifts] == ["views"]
    assert found.shifts[0].psi > 1
    assert found.shifts[0].description.startswith("views moved (PSI ")
    assert "0 outcomes are too few" in found.description


def test_scores_that_do_not_come_true_are_drift():
    """Whatever the features say."""
    found = judge(shapes(rows(5000), ["a", "b"]), rows(400, seed=2), outcomes=600, calibration_error=0.2)

    assert (found.drifted, found.shifts) == (True, ())


@pytest.mark.parametrize("count", [0, 1, LEAST_CARTS - 1])
def test_too_few_carts_say_nothing(count):
    """Chance alone would move them."""
    found = judge(shapes(rows(5000), ["views", "searches"]), rows(count, shift=9.0))

    assert not found.drifted
    assert f"{count:,} carts in the newest day are too few" in found.description


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_do_not_stop_it(bad):
    """They are a bin like any other: a feature that became unknown has moved."""
    spoilt = rows(400, seed=2)
    spoilt[:, 0] = bad

    found = judge(shapes(rows(5000), ["views", "searches"]), spoilt)

    assert [shift.feature for shift in found.shifts] == ["views"]
    assert np.isfinite(found.largest)
    assert shapes(spoilt, ["views", "searches"])[0].edges == (0.0,)


def test_a_feature_that_is_always_the_same_has_a_shape():
    """One edge, nothing below it; anything else moves it."""
    (shape,) = shapes(np.zeros((50, 1)), ["views"])

    assert (shape.edges, shape.shares) == ((0.0,), (0.0, 1.0))
    assert stability(shape, np.zeros(400)) == 0.0
    assert stability(shape, np.full(400, -1.0)) > 1


async def test_the_newest_days_served_features_are_compared(eventually):
    """A cart of two days ago does not count, nor one that was scored from other features; bins are the version's."""
    mesh = Mesh(MemoryMesh("us").broker("us"), "training")
    models = Registry(mesh)
    rng = np.random.default_rng(1)
    width = len(names())
    version = Version(
        name="propensity",
        version="a",
        trained_at=NOW,
        window=(NOW, NOW),
        horizon_seconds=60.0,
        rows=1,
        data_hash="a",
        features=names(),
        shapes=shapes(rng.normal(size=(2000, width)), names()),
    )
    await models.add(version, b"")
    before = await drifted(mesh, "propensity", at=NOW)
    await models.promote("propensity", "a", "", at=NOW)
    for number in range(LEAST_CARTS + 40):
        values = rng.normal(size=width)
        values[3] += 3.0
        old, other = number < 20, 20 <= number < 40
        at = NOW - timedelta(days=2) if old else NOW - timedelta(minutes=number)
        evidence = Evidence(
            at=at, steps=1, features_digest="other" if other else digest(), values=tuple(values.tolist())
        )
        cart = {"cart_id": f"c{number}", "visitor_id": "v", "abandonment_id": f"left-{number}"}
        score = CartScored(propensity=0.5, model_version="a", reasons=(), recommended=(), evidence=evidence, **cart)
        await mesh.publish(Draft(event=score, time=at))

    found = await drifted(mesh, "propensity", at=NOW)

    assert before is None
    assert (found.version, found.drift.carts, found.drift.drifted) == ("a", LEAST_CARTS, True)
    assert [shift.feature for shift in found.drift.shifts] == [names()[3]]
