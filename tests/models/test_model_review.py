"""The daily review trains, tries, judges and measures; done twice it does nothing more, and death undoes nothing."""

import asyncio
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.envelope import Received
from mesh.events.cart import CartAbandoned, CartConverted, CartLine, CartScored, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.model import ModelDrifted, ModelPromoted, ModelReviewDue, ModelShadowed, ModelStaged, ModelTrained
from mesh.events.order import OrderPlaced
from mesh.events.user import Evidence
from mesh.history import Unchanged
from mesh.publish import Draft
from mesh.runtime.run import running
from ml.features import digest, names
from ml.lifecycle import retraining
from ml.lifecycle.registry import Registry
from ml.lifecycle.retraining import DRIFT, Plan, call_for_reviews, judge_candidate, measure_drift, service, train_model
from ml.lifecycle.review import drifted
from ml.lifecycle.version import Shape, Version
from ml.scoring import service as scoring

NOW = datetime(2026, 3, 2, tzinfo=UTC)
PRICE = Money(amount=1999, currency="EUR")
LINE = CartLine(product_id="p0", quantity=1, price=PRICE)


@pytest.fixture
def mesh():
    return Mesh(MemoryMesh("us").broker("us"), "training")


@pytest.fixture
def models(mesh):
    return Registry(mesh)


def due(id_="the-review", day=0, attempt=1):
    event = ModelReviewDue(model="propensity", due=NOW + timedelta(days=day))
    return Received(event=event, id=id_, time=NOW, stored=NOW, region="us", sequence=1, subject="", attempt=attempt)


async def left_carts(mesh, visitors=220):
    """A log that can teach: keen shoppers look at one thing again and again. Returns their orders."""
    dice, orders = random.Random(4), []
    for number in range(visitors):
        who = {"visitor_id": f"v{number}", "session_id": f"s{number}"}
        at, keen = NOW + timedelta(minutes=10 * number), dice.random() < 0.4
        for view in range(3):
            viewed = ProductViewed(product_id="p0" if keen else f"p{dice.randrange(40)}", price=PRICE, **who)
            await mesh.publish(Draft(event=viewed, time=at + timedelta(seconds=20 * view)))
        put, moment = at + timedelta(minutes=2), at + timedelta(minutes=32)
        await mesh.publish(Draft(event=CartUpdated(cart_id=f"c{number}", lines=(LINE,), **who), time=put))
        left = CartAbandoned(cart_id=f"c{number}", lines=(LINE,), total=PRICE, left_at=put, due=moment, **who)
        await mesh.publish(Draft(event=left, time=moment))
        if dice.random() < (0.8 if keen else 0.1):
            order = OrderPlaced(order_id=f"o{number}", lines=(LINE,), total=PRICE, **who)
            orders.append(Draft(event=order, time=moment + timedelta(minutes=15)))
    return orders


async def bought(mesh, orders):
    for order in orders:
        await mesh.publish(order)


def a_version(name, **known):
    return Version(
        name="propensity",
        version=name,
        trained_at=NOW,
        window=(NOW, NOW),
        horizon_seconds=3600.0,
        rows=1,
        data_hash=name,
        features=names(),
        **known,
    )


@pytest.mark.timeout(300)
async def test_a_review_trains_and_tries_in_shadow_once(mesh, models):
    """The version is called after its review; the review handled again, after whatever death, makes no other."""
    await bought(mesh, await left_carts(mesh))

    await train_model(due(), mesh, Plan())
    first = await models.current("propensity")
    await train_model(due(attempt=2), mesh, Plan())

    assert first.version is None
    assert first.candidate.stage == "shadow"
    assert first.candidate.version.startswith("20260302-000000-")
    assert await models.current("propensity") == first
    assert [one.event.version async for one in mesh.read(ModelTrained)] == [first.candidate.version]
    assert [one.event.stage async for one in mesh.read(ModelStaged)] == ["shadow"]
    version = await models.version("propensity", first.candidate.version)
    assert version.trained_by == "review of 2026-03-02 00:00"
    assert [shape.feature for shape in version.shapes] == list(names())


@pytest.mark.timeout(300)
async def test_killed_between_shelf_and_shadow_it_goes_on_where_it_was(mesh, models, monkeypatch):
    """What is registered already is not learnt again."""
    await bought(mesh, await left_carts(mesh))
    monkeypatch.setattr(Registry, "stage", _die)
    with pytest.raises(asyncio.CancelledError):
        await train_model(due(), mesh, Plan())
    monkeypatch.undo()
    (version,) = await models.versions("propensity")
    monkeypatch.setattr("ml.training.process.train_in_child_process", _die)

    await train_model(due(attempt=2), mesh, Plan())

    assert (await models.current("propensity")).candidate.version == version.version


async def _die(*_, **__):
    raise asyncio.CancelledError


@pytest.mark.parametrize("learnable", [0, 3])
async def test_a_log_that_cannot_teach_changes_nothing(mesh, models, learnable):
    """An empty log, or a few carts."""
    await bought(mesh, await left_carts(mesh, visitors=learnable))

    await train_model(due(), mesh, Plan())

    assert await models.current("propensity") is None


async def test_a_young_shadow_keeps_its_place(mesh, models):
    """Else a candidate of every day would never gather its outcomes; the new version is only registered."""
    await bought(mesh, await left_carts(mesh))
    await models.add(a_version("young"), b"")
    await models.stage("propensity", "young", "shadow", "", at=datetime.now(UTC) - timedelta(days=1))

    await train_model(due(), mesh, Plan(try_for=timedelta(days=7)))
    kept = (await models.current("propensity")).candidate.version
    await train_model(due("the-next"), mesh, Plan(try_for=timedelta(hours=1)))

    assert kept == "young"
    assert (await models.current("propensity")).candidate.version != "young"


async def called(mesh, at, plan):
    changes = [change async for change in call_for_reviews(at, mesh, plan)]
    assert all(isinstance(change, Unchanged | ModelReviewDue) for change in changes)
    return [change.due for change in changes if isinstance(change, ModelReviewDue)], changes


async def test_reviews_are_called_for_at_each_period_and_caught_up(mesh):
    """The first at a multiple of the period; later ones whenever the newest is too old; each once."""
    plan = Plan(review_every=timedelta(hours=6), review_models=("propensity",))

    assert (await called(mesh, NOW + timedelta(hours=1), plan))[0] == []
    dues, changes = await called(mesh, NOW, plan)
    assert dues == [NOW]
    await mesh.publish(*changes)
    assert (await called(mesh, NOW + timedelta(hours=5), plan))[0] == []
    dues, changes = await called(mesh, NOW + timedelta(hours=13), plan)
    assert dues == [NOW + timedelta(hours=12)]
    assert Unchanged(ModelReviewDue, "propensity", 1) in changes


async def test_nothing_is_tried_that_no_model_is_reviewed_for(mesh):
    """The models that are reviewed are a setting."""
    assert (await called(mesh, NOW, Plan(review_models=())))[0] == []


async def tried(mesh, models, *, good):
    """A candidate with 220 live carts whose outcome is known, that it foresaw or foresaw wrongly."""
    await models.add(a_version("a"), b"")
    await models.add(a_version("b"), b"")
    await models.promote("propensity", "a", "", at=NOW)
    await models.stage("propensity", "b", "shadow", "", at=NOW)
    for number in range(220):
        buys, cart = number % 2 == 0, {"cart_id": f"c{number}", "visitor_id": f"v{number}"}
        foreseen = 0.98 if buys == good else 0.02
        proof = Evidence(at=NOW, steps=1, features_digest=digest(), values=(0.0,) * len(names()))
        said = {"abandonment_id": f"left-{number}", **cart}
        score = CartScored(propensity=0.5, model_version="a", reasons=(), recommended=(), evidence=proof, **said)
        await mesh.publish(Draft(event=score, time=NOW))
        await mesh.publish(
            ModelShadowed(
                model="propensity",
                champion="a",
                champion_probability=0.5,
                candidate="b",
                candidate_probability=foreseen,
                served_version="a",
                **said,
            )
        )
        if buys:
            order = OrderPlaced(order_id=f"o{number}", visitor_id=f"v{number}", lines=(LINE,), total=PRICE)
            await mesh.publish(Draft(event=order, time=NOW + timedelta(minutes=5)))
    over = CartConverted(cart_id="last", order_id="o", visitor_id="v")
    await mesh.publish(Draft(event=over, time=NOW + timedelta(hours=2)))


async def test_a_candidate_is_promoted_by_itself_only_where_the_shop_wishes_so(mesh, models):
    """And only once enough live outcomes speak for it."""
    await tried(mesh, models, good=True)

    await judge_candidate(due(), mesh, Plan(promote_after=200))
    by_default = await models.current("propensity")
    await judge_candidate(due(), mesh, Plan(auto_promote=True, promote_after=5000))
    too_few = await models.current("propensity")
    await judge_candidate(due(), mesh, Plan(auto_promote=True, promote_after=200))

    assert (by_default.version, too_few.version) == ("a", "a")
    current = await models.current("propensity")
    assert (current.version, current.previous, current.candidate) == ("b", "a", None)
    promoted = [one.event async for one in mesh.read(ModelPromoted)][-1]
    assert promoted.reason.startswith("on live carts better than the running a (AUC 1.000")


async def test_a_candidate_that_does_worse_is_withdrawn(mesh, models):
    """What serves goes on; the reason is published."""
    await tried(mesh, models, good=False)

    await judge_candidate(due(), mesh, Plan(auto_promote=True, promote_after=200))

    current = await models.current("propensity")
    assert (current.version, current.candidate) == ("a", None)
    staged = [one.event async for one in mesh.read(ModelStaged)][-1]
    assert staged.stage == "withdrawn"
    assert "worse than the running a: it ranks worse" in staged.reason


async def test_drift_is_kept_and_published_when_there_is_some(mesh, models):
    """The newest measurement is in the bucket; the event says what moved."""
    await tried(mesh, models, good=True)
    calm = [change async for change in measure_drift(due(), mesh)]
    moved = tuple(Shape(feature=name, edges=(5.0,), shares=(0.1, 0.9)) for name in names())
    await models.add(a_version("c", shapes=moved), b"")
    await models.promote("propensity", "c", "", at=NOW)

    (drift_event,) = [change async for change in measure_drift(due(), mesh)]

    kept = await mesh.state(DRIFT).get("propensity")
    assert calm == []
    assert isinstance(drift_event, ModelDrifted)
    assert (drift_event.version, drift_event.carts, len(drift_event.shifts)) == ("c", 220, len(names()))
    assert (kept.version, kept.drift.description) == ("c", drift_event.description)
    assert retraining.PSI.labels("propensity")._value.get() == kept.drift.largest > 1


@pytest.mark.timeout(300)
async def test_the_carts_that_were_learnt_from_have_not_drifted(mesh, models, eventually):
    """What is served for a left cart is compared with what was known of left carts in training, like with like."""
    orders = await left_carts(mesh, visitors=260)
    async with running(scoring.service, Mesh(mesh.broker, "scoring")):

        async def all_scored():
            return len([1 async for _ in mesh.read(CartScored)]) == 260

        await eventually(all_scored, within=60)
    await bought(mesh, orders)
    await train_model(due(), mesh, Plan())
    await models.promote("propensity", (await models.current("propensity")).candidate.version, "", at=NOW)

    found = await drifted(mesh, "propensity", at=NOW)

    assert found.drift.carts == 260
    assert (found.drift.drifted, found.drift.shifts) == (False, ()), found.drift.description
    assert found.drift.largest < 0.2


async def test_the_service_reviews_when_it_is_due(mesh, models, eventually):
    """Its own durables receive the event; one model after another."""
    await left_carts(mesh, visitors=3)
    async with running(service, mesh):
        await mesh.publish(ModelReviewDue(model="propensity", due=NOW))
        await models.add(a_version("a"), b"")
        await models.promote("propensity", "a", "", at=NOW)
        await mesh.publish(ModelReviewDue(model="propensity", due=NOW + timedelta(days=1)))
        kept = await eventually(lambda: mesh.state(DRIFT).get("propensity"))

    assert (kept.version, kept.at) == ("a", NOW + timedelta(days=1))


def test_the_service_costs_nothing_until_it_trains():
    """Every process imports it: no numpy, polars, scikit-learn."""
    heavy = "{'numpy', 'polars', 'sklearn', 'scipy'}"
    code = f"import sys, ml.lifecycle.retraining, ml.scoring.service; print(*sorted({heavy} & set(sys.modules)))"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert ran.stdout.strip() == ""
