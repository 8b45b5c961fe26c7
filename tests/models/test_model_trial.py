"""A candidate is tried on the same carts as the model that serves, and neither disturbs the other."""

import asyncio
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from msgspec.structs import replace

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartAbandoned, CartConverted, CartLine, CartScored
from mesh.events.model import ModelRefused, ModelShadowed
from mesh.events.offer import OfferSent
from mesh.events.order import OrderPlaced
from mesh.events.user import Advice, Evidence
from mesh.publish import Draft
from mesh.runtime.run import running
from ml.features import names
from ml.lifecycle.live_outcomes import compare, live_calibration, read
from ml.lifecycle.registry import Registry
from ml.lifecycle.review import judged, passes
from ml.lifecycle.serving_models import ServingModels
from ml.lifecycle.version import Version, takes_part
from ml.models.artifact import ArtifactRefused
from ml.scoring.service import service

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PRICE = Money(amount=1999, currency="EUR")
LINE = CartLine(product_id="p1", quantity=1, price=PRICE)


class Constant:
    """A model that always says the same."""

    def __init__(self, probability):
        self.probability = probability

    def score(self, rows):
        return np.full(len(rows), self.probability)

    def explain(self, rows):
        return self.score(rows), np.zeros(np.shape(rows))


async def load_constant(artifact):
    """`0.25` as a model that always says so; anything else is refused."""
    try:
        return Constant(float(artifact))
    except ValueError:
        raise ArtifactRefused("no number") from None


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


@pytest.fixture
def regions():
    return MemoryMesh("us")


@pytest.fixture
def shop(regions):
    return Mesh(regions.broker("us"), "gateway")


@pytest.fixture
def models(regions):
    return Registry(Mesh(regions.broker("us"), "training"))


@pytest.fixture(autouse=True)
def _constants(monkeypatch):
    monkeypatch.setitem(loaders(), "propensity", load_constant)


def loaders():
    from ml.lifecycle.model_loaders import LOADERS

    return LOADERS


def left(number):
    who = {"visitor_id": f"v{number}", "session_id": f"s{number}"}
    abandoned = CartAbandoned(
        cart_id=f"c{number}", lines=(LINE,), total=PRICE, left_at=NOW, due=NOW + timedelta(minutes=30), **who
    )
    return Draft(event=abandoned, id=f"left-{number}", time=NOW + timedelta(minutes=30))


async def with_versions(models, **said):
    for name, probability in said.items():
        await models.add(a_version(name), str(probability).encode())


async def scored(shop, run, carts, eventually):
    """Leave carts once the serving models are as the registry says, and return their scores by cart."""
    scorer = next(value for kind, value in run.provided.items() if kind.__name__ == "Scorer")
    await scorer.models.adopt("propensity", (await Registry(shop).current("propensity")))
    await asyncio.gather(*(shop.publish(left(number)) for number in carts))
    wanted = {f"c{number}" for number in carts}

    async def all_scored():
        found = {one.event.cart_id: one.event async for one in shop.read(CartScored)}
        return {cart: found[cart] for cart in wanted} if wanted <= found.keys() else None

    return await eventually(all_scored)


async def shadowed(shop, least, eventually):
    async def enough():
        found = [one.event async for one in shop.read(ModelShadowed)]
        return found if len(found) >= least else None

    return await eventually(enough) if least else [one.event async for one in shop.read(ModelShadowed)]


async def test_a_shadow_scores_every_cart_without_effect(regions, shop, models, eventually):
    """Both probabilities are published for each cart; what counts is the running model's."""
    await with_versions(models, a=0.25, b=0.75)
    await models.promote("propensity", "a", "", at=NOW)
    await models.stage("propensity", "b", "shadow", "", at=NOW)

    async with running(service, Mesh(regions.broker("us"), "scoring")) as run:
        scores = await scored(shop, run, range(20), eventually)
        shadows = await shadowed(shop, 20, eventually)

    assert {(score.model_version, score.propensity) for score in scores.values()} == {("a", 0.25)}
    assert {(one.champion, one.champion_probability, one.served_version) for one in shadows} == {("a", 0.25, "a")}
    assert {(one.candidate, one.candidate_probability) for one in shadows} == {("b", 0.75)}
    assert sorted(one.abandonment_id for one in shadows) == sorted(f"left-{number}" for number in range(20))


async def test_a_canary_serves_its_share_and_says_so(regions, shop, models, eventually):
    """Whose cart it is decides by the cart's id; the other model's score is published beside it."""
    await with_versions(models, a=0.25, b=0.75)
    await models.promote("propensity", "a", "", at=NOW)
    await models.stage("propensity", "b", "canary", "", share=0.4, at=NOW)

    async with running(service, Mesh(regions.broker("us"), "scoring")) as run:
        scores = await scored(shop, run, range(60), eventually)
        shadows = await shadowed(shop, 60, eventually)

    expected = {f"c{number}": "b" if takes_part(f"c{number}", 0.4) else "a" for number in range(60)}
    assert {cart: score.model_version for cart, score in scores.items()} == expected
    assert {cart: score.propensity for cart, score in scores.items()} == {
        cart: {"a": 0.25, "b": 0.75}[version] for cart, version in expected.items()
    }
    assert {one.cart_id: one.served_version for one in shadows} == expected
    assert set(expected.values()) == {"a", "b"}


async def test_a_shadow_beside_base_rates(regions, shop, models, eventually):
    """Also where nothing serves yet a version can be watched."""
    await with_versions(models, b=0.75)
    await models.stage("propensity", "b", "shadow", "", at=NOW)

    async with running(service, Mesh(regions.broker("us"), "scoring")) as run:
        scores = await scored(shop, run, range(3), eventually)
        shadows = await shadowed(shop, 3, eventually)

    assert {score.model_version for score in scores.values()} == {"base-rate"}
    assert {(one.champion, one.candidate) for one in shadows} == {("base-rate", "b")}


async def test_promotion_and_rollback_move_the_models_that_are_read_already(shop, models):
    """Neither reads a file again; the shadow is gone from its place."""
    reads = []

    async def reading(artifact):
        reads.append(artifact)
        return await load_constant(artifact)

    serving = ServingModels(shop, {"propensity": reading})
    await with_versions(models, a=0.25, b=0.75)
    for change in (
        models.promote("propensity", "a", "", at=NOW),
        models.stage("propensity", "b", "shadow", "", at=NOW),
        models.promote("propensity", "b", "", at=NOW),
    ):
        await serving.adopt("propensity", await change)

    assert serving.champion("propensity").version == "b"
    assert serving.tried("propensity") is None
    assert reads == [b"0.25", b"0.75"]


async def test_a_refused_candidate_takes_no_place_and_is_published_once(shop, models):
    """What serves goes on; the event says who was refused, why, and who serves."""
    serving = ServingModels(shop, loaders())
    await with_versions(models, a=0.25, bad="rubbish")
    await serving.adopt("propensity", await models.promote("propensity", "a", "", at=NOW))

    for _ in range(3):
        await serving.adopt("propensity", await models.stage("propensity", "bad", "shadow", "", at=NOW))
    await serving.adopt("propensity", await models.promote("propensity", "bad", "", at=NOW))

    assert serving.champion("propensity").version == "a"
    assert serving.tried("propensity") is None
    refused = [one.event async for one in shop.read(ModelRefused)]
    assert refused == [ModelRefused(model="propensity", version="bad", reason="no number", serving="a")]


async def test_a_scorer_that_starts_when_the_promoted_file_is_bad_serves_the_one_before(shop, models):
    """So all replicas serve the same."""
    serving = ServingModels(shop, loaders())
    await with_versions(models, a=0.25, bad="rubbish")
    await models.promote("propensity", "a", "", at=NOW)

    await serving.adopt("propensity", await models.promote("propensity", "bad", "", at=NOW))

    assert serving.champion("propensity").version == "a"


async def test_a_scorer_that_starts_reads_the_models_before_it_scores(regions, shop, models, eventually, monkeypatch):
    """What was left while it was away is scored by the model that serves, however long its file takes to read."""
    first = asyncio.Event()

    async def slow(artifact):
        await first.wait()
        return await load_constant(artifact)

    monkeypatch.setitem(loaders(), "propensity", slow)
    await with_versions(models, a=0.25)
    await models.promote("propensity", "a", "", at=NOW)
    await shop.publish(left(1))
    asyncio.get_running_loop().call_later(0.3, first.set)

    async with running(service, Mesh(regions.broker("us"), "scoring")):
        scored = await eventually(lambda: shop.last(CartScored, "c1"))

    assert scored.event.model_version == "a"


async def test_an_abandonment_that_comes_again_is_scored_once(regions, shop, eventually):
    """Delivered again in a batch with a new one, long after: the new one is scored, the known one is not."""
    from mesh.envelope import Received
    from ml.scoring.service import score_carts

    async with running(service, Mesh(regions.broker("us"), "scoring")) as run:
        scorer = next(value for kind, value in run.provided.items() if kind.__name__ == "Scorer")
        await shop.publish(left(1))

        async def known():
            return await shop.last(CartScored, "c1")

        before = await eventually(known)
        again = Received(
            event=left(1).event, id="left-1", time=NOW, stored=NOW, region="us", sequence=1, subject="", attempt=2
        )
        new = Received(event=left(2).event, id="left-2", time=NOW, stored=NOW, region="us", sequence=2, subject="")
        await score_carts([again, new], scorer, run.mesh)
        await score_carts([again], scorer, run.mesh)

    stored = [one async for one in shop.read(CartScored)]
    assert [one.event.abandonment_id for one in stored] == ["left-1", "left-2"]
    assert stored[0].id == before.id


def said(number, version, propensity, minute=0):
    at = NOW + timedelta(minutes=minute)
    score = CartScored(
        cart_id=f"c{number}",
        visitor_id=f"v{number}",
        abandonment_id=f"left-{number}",
        propensity=propensity,
        model_version=version,
        reasons=(),
        recommended=(),
        evidence=Evidence(at=at, steps=1, features_digest="", values=()),
    )
    return Draft(event=score, time=at)


def beside(number, champion, candidate):
    return ModelShadowed(
        cart_id=f"c{number}",
        abandonment_id=f"left-{number}",
        visitor_id=f"v{number}",
        model="propensity",
        champion="a",
        champion_probability=champion,
        candidate="b",
        candidate_probability=candidate,
        served_version="a",
    )


def ordered(number, minute):
    order = OrderPlaced(order_id=f"o{number}", visitor_id=f"v{number}", lines=(LINE,), total=PRICE)
    return Draft(event=order, time=NOW + timedelta(minutes=minute))


async def lived(shop, carts=40):
    """Every other shopper returns; the candidate knew it, the champion did not."""
    for number in range(carts):
        buys = number % 2 == 0
        drafts = [said(number, "a", 0.5), Draft(event=beside(number, 0.5, 0.98 if buys else 0.02))]
        await shop.publish(*drafts)
        if buys:
            await shop.publish(ordered(number, 10))
    converted = CartConverted(cart_id="late", order_id="o", visitor_id="v")
    await shop.publish(Draft(event=converted, time=NOW + timedelta(hours=3)))


async def test_two_models_are_compared_on_the_same_live_carts(shop):
    """Outcomes are purchases within the horizon after the scored moment; carts with offers are counted separately."""
    await lived(shop)
    sent = OfferSent(cart_id="c0", visitor_id="v0", offer_id="1", channel="email")
    await shop.publish(sent)

    found = compare(await read(shop), model="propensity", champion="a", candidate="b", stage="shadow", horizon=3600.0)

    assert (found.scored, found.known) == (40, 40)
    assert (found.champion_metrics.auc, found.candidate_metrics.auc) == (0.5, 1.0)
    assert found.candidate_metrics.brier < found.champion_metrics.brier
    assert (found.candidate_unaided.rows, found.candidate_metrics.rows) == (39, 40)


async def test_an_outcome_is_known_when_its_horizon_is_over(shop):
    """Bought: at once. Not bought: only when the log has gone that far."""
    await shop.publish(said(1, "a", 0.5), Draft(event=beside(1, 0.5, 0.5)))
    await shop.publish(said(2, "a", 0.5), Draft(event=beside(2, 0.5, 0.5)), ordered(2, 59))
    await shop.publish(said(3, "a", 0.5, minute=50), Draft(event=beside(3, 0.5, 0.5)))
    asked = {"model": "propensity", "champion": "a", "candidate": "b", "stage": "shadow", "horizon": 3600.0}
    log = await read(shop)
    log.until = (NOW + timedelta(minutes=59)).timestamp()

    before = compare(log, **asked)
    log.until = (NOW + timedelta(minutes=61)).timestamp()
    after = compare(log, **asked)

    assert (before.scored, before.known, after.known) == (3, 1, 2)


async def test_a_purchase_before_the_score_is_no_outcome(shop):
    """A cart is not judged by what its shopper did earlier, or much later."""
    await shop.publish(ordered(1, -5), said(1, "a", 0.5), ordered(2, 70), said(2, "a", 0.5))
    log = await read(shop)
    log.until = (NOW + timedelta(hours=2)).timestamp()

    assert [log.outcome(scored, 3600.0) for scored in log.scores.values()] == [False, False]
    assert live_calibration(log, version="a", horizon=3600.0).base_rate == 0.0
    assert live_calibration(log, version="z", horizon=3600.0) is None


async def test_live_outcomes_decide_over_a_candidate(shop, models):
    """With enough of them they are the gate; with fewer the verdict of its training stands."""
    await models.add(a_version("a"), b"")
    await models.add(a_version("b", accepted=False, gate="worse when trained"), b"")
    await models.promote("propensity", "a", "", at=NOW)
    await models.stage("propensity", "b", "shadow", "", at=NOW)
    early = await passes(shop, "propensity", "b")
    await lived(shop, carts=220)

    late = await passes(shop, "propensity", "b")

    assert (early.accepted, early.reason) == (False, "worse when trained")
    assert late.accepted
    assert late.reason.startswith("on live carts better than the running a (AUC 1.000")
    assert await judged(shop, "propensity", least=1000) is None


class Adviser:
    """Says that an offer changes nothing, for carts that are bought with one probability."""

    def __init__(self, unaided):
        self.unaided = unaided

    def advise(self, rows):
        return [Advice(version="", decision="none", explanation="", unaided=self.unaided, arms=()) for _ in rows]


async def load_adviser(artifact):
    return Adviser(float(artifact))


async def test_advisers_are_tried_like_any_model(regions, shop, models, eventually, monkeypatch):
    """The canary's advice goes with its carts' scores, under its registered name; both scores are published."""
    monkeypatch.setitem(loaders(), "uplift", load_adviser)
    for name, unaided in (("one", 0.2), ("two", 0.3)):
        await models.add(replace(a_version(name), name="uplift"), str(unaided).encode())
    await models.promote("uplift", "one", "", at=NOW)
    await models.stage("uplift", "two", "canary", "", share=0.5, at=NOW)

    async with running(service, Mesh(regions.broker("us"), "scoring")) as run:
        scorer = next(value for kind, value in run.provided.items() if kind.__name__ == "Scorer")
        await scorer.models.adopt("uplift", await models.current("uplift"))
        await asyncio.gather(*(shop.publish(left(number)) for number in range(30)))
        shadows = await shadowed(shop, 30, eventually)
        scores = {one.event.cart_id: one.event async for one in shop.read(CartScored)}

    expected = {f"c{number}": "two" if takes_part(f"c{number}", 0.5) else "one" for number in range(30)}
    assert {cart: score.advice.version for cart, score in scores.items()} == expected
    assert {one.cart_id: one.served_version for one in shadows} == expected
    assert {(one.model, one.champion_probability, one.candidate_probability) for one in shadows} == {
        ("uplift", 0.2, 0.3)
    }
    assert {score.model_version for score in scores.values()} == {"base-rate"}
