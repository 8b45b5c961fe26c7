"""Scoring says something about every shopper and every abandoned cart, with a model or without."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.envelope import Received
from mesh.event import declaration_of
from mesh.events.cart import CartAbandoned, CartLine, CartScored, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.model import ModelRefused
from mesh.events.order import OrderPlaced
from mesh.events.product import ProductListed
from mesh.events.profile import ProfileErased
from mesh.events.user import Recommendations, RecommendationsRequest, UserScored
from mesh.publish import Draft
from mesh.runtime.run import running
from ml.clickstream.steps import Step
from ml.features import names
from ml.lifecycle.registry import MODELS, Registry
from ml.lifecycle.version import Metrics, Version
from ml.models.propensity import PropensityClassifier
from ml.recommendations.recommender import LEAST_NEWS, Recommender
from ml.scoring.scorer import Scorer
from ml.scoring.service import service
from ml.scoring.shopper_memory import SHOPPERS

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def mesh():
    return MemoryMesh("us")


@pytest.fixture
def shop(mesh):
    """What the storefront says."""
    return Mesh(mesh.broker("us"), "gateway")


def viewed(visitor, product, minute=0, price=1999):
    return Draft(
        event=ProductViewed(
            visitor_id=visitor, product_id=product, session_id=f"s-{visitor}", price=Money(amount=price, currency="EUR")
        ),
        time=NOW + timedelta(minutes=minute),
    )


def line(product, price=1999):
    return CartLine(product_id=product, quantity=1, price=Money(amount=price, currency="EUR"), name=f"The {product}")


def cart(visitor, *products, minute=1):
    lines = tuple(line(product) for product in products)
    return Draft(
        event=CartUpdated(cart_id=f"c-{visitor}", visitor_id=visitor, session_id=f"s-{visitor}", lines=lines),
        time=NOW + timedelta(minutes=minute),
    )


def left(visitor, *products):
    lines = tuple(line(product) for product in products)
    return CartAbandoned(
        cart_id=f"c-{visitor}",
        visitor_id=visitor,
        session_id=f"s-{visitor}",
        lines=lines,
        total=Money(amount=1999 * len(lines), currency="EUR"),
        left_at=NOW + timedelta(minutes=1),
        due=NOW + timedelta(minutes=31),
    )


def received_draft(draft, id_):
    """A draft as a handler is given it."""
    return Received(event=draft.event, id=id_, time=draft.time, stored=NOW, region="us", sequence=1, subject="")


async def ask(shop, **question):
    """What scoring answers to who asks for recommendations."""
    return await shop.ask("scoring", "recommend-products", RecommendationsRequest(**question), Recommendations)


async def until(condition, patience=90.0):
    """What `condition` returns once it is true."""
    async with asyncio.timeout(patience):
        while True:
            if found := await condition():
                return found
            await asyncio.sleep(0.01)


async def scores(shop, kind, key):
    async def newest():
        return await shop.last(kind, key)

    return (await until(newest)).event


def trained(seed=1):
    """A model for which more views make buying likelier."""
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0, 10, size=(600, len(names())))
    labels = (rows[:, names().index("views")] > 3).astype(float)
    return PropensityClassifier(max_iter=10).fit(rows, labels).served(names())


def version(name="20260302-1"):
    metrics = Metrics(rows=1, base_rate=0.5, auc=None, pr_auc=None, brier=0.1, ece=0.1)
    return Version(
        name="propensity",
        version=name,
        trained_at=NOW,
        window=(NOW, NOW),
        horizon_seconds=60.0,
        rows=1,
        data_hash="0",
        features=names(),
        metrics=metrics,
        carts=None,
        base_rates=(0.1, 0.2),
        sklearn="1",
    )


async def test_without_a_model_scores_are_base_rates_and_say_so(mesh, shop):
    """A shopper who is seen before any model is trained gets the base rate, its name and its origin."""
    async with running(service, Mesh(mesh.broker("us"), "scoring")):
        await shop.publish(viewed("v1", "p1"))
        scored = await scores(shop, UserScored, "v1")

    assert scored.model_version == "base-rate"
    assert 0 < scored.propensity < 0.1
    assert scored.reasons[0].text == "no model is trained yet: this is a base rate"
    assert len(scored.reasons) == 3


async def test_an_abandoned_cart_is_scored_once_with_recommendations(mesh, shop):
    """A cart that was left gets one score that names the abandonment and recommends what is not in the cart."""
    async with running(service, Mesh(mesh.broker("us"), "scoring")) as run:
        for visitor in ("a", "b", "c"):
            await shop.publish(viewed(visitor, "p1"), viewed(visitor, "p2", 1), viewed(visitor, "p3", 2))
        await shop.publish(viewed("v1", "p1"), cart("v1", "p1", "p2"))
        scorer = run.provided[Scorer]

        async def learnt():
            await scorer.recommender.refresh()
            found = scorer.recommender.recommend(["p1"], exclude=("p1", "p2"), most=9)
            return scorer.shoppers.of("v1").owned and [one.product_id for one in found] == ["p3"]

        await until(learnt)
        await shop.publish(Draft(event=left("v1", "p1", "p2"), id="left-1"))
        scored = await scores(shop, CartScored, "c-v1")

    assert (scored.abandonment_id, scored.visitor_id) == ("left-1", "v1")
    assert [one.product_id for one in scored.recommended] == ["p3"]
    assert scored.recommended[0].price == Money(amount=1999, currency="EUR")
    assert len([r async for r in shop.read(CartScored)]) == 1


async def test_a_request_is_answered_with_what_a_visitor_may_like(mesh, shop):
    """Recommendations are computed for who asks, each with its kind, without what is in the cart."""
    async with running(service, Mesh(mesh.broker("us"), "scoring")) as run:
        for visitor in ("a", "b", "c"):
            await shop.publish(viewed(visitor, "p1"), viewed(visitor, "p2", 1), viewed(visitor, "p3", 2))
        await shop.publish(viewed("v1", "p1"), cart("v1", "p2"))
        scorer = run.provided[Scorer]

        async def answered():
            """What was learnt from a part of the views is another answer, and all may not have come yet."""
            await scorer.recommender.refresh()
            answer = await ask(shop, visitor_id="v1")
            return [(one.product_id, one.kind) for one in answer.products] == [("p1", "seen"), ("p3", "together")]

        await until(answered)


async def test_a_replica_that_is_behind_reads_the_event_that_it_is_asked_about(mesh, shop):
    """What a question names was stored, so its answer counts it, whether or not this replica was given it."""
    scorer = Scorer(Mesh(mesh.broker("us"), "scoring"), Recommender(), shoppers=10, warm=0)
    for visitor in ("a", "b"):
        for place, product in enumerate(("p1", "p2")):
            happened = viewed(visitor, product, place)
            scorer.learn(received_draft(happened, f"{visitor}-{product}"))
    await scorer.recommender.refresh()
    scorer.shoppers.settle()
    await shop.publish(replace(viewed("v1", "p2"), id="the-view"))

    before = await scorer.recommend("v1", most=1)
    after = await scorer.recommend("v1", most=1, after="the-view")

    assert [(one.product_id, one.kind) for one in before] == [("p2", "popular")]
    assert [(one.product_id, one.kind) for one in after] == [("p1", "together")]


async def test_recommendations_are_used_again_until_something_changes(mesh, monkeypatch):
    """Asked twice, computed once; a step of the visitor or a product that sells out changes them at once."""
    scorer = Scorer(Mesh(mesh.broker("us"), "scoring"), Recommender(), shoppers=10, warm=0)
    scorer.shoppers.settle()
    for visitor in ("a", "b", "v1"):
        for place, product in enumerate(("p1", "p2", "p3")):
            scorer.learn(received_draft(viewed(visitor, product, place), f"{visitor}-{product}"))
    await scorer.recommender.refresh()
    computed = []
    recommend = scorer.recommender.recommend
    monkeypatch.setattr(scorer.recommender, "recommend", lambda *a, **k: computed.append(1) or recommend(*a, **k))

    for _ in range(3):
        first = await scorer.recommend("v1", most=2)
    scorer.recommender.learn(ProductListed(product_id="p1", available=False))
    second = await scorer.recommend("v1", most=2)
    scorer.learn(received_draft(viewed("v1", "p2", 9), "again"))
    third = await scorer.recommend("v1", most=2)

    assert [{one.product_id for one in products} for products in (first, second, third)] == [
        {"p1", "p2"},
        {"p2"},
        {"p3"},
    ]
    assert len(computed) == 3


@pytest.mark.timeout(300)  # a cold import of scikit-learn in a child, on a busy machine
async def test_a_model_serves_from_the_moment_it_is_promoted(mesh, shop):
    """A version that is promoted while scoring runs is used without a restart and gives its three reasons in words."""
    from ml.models.artifact import pack

    models = Registry(Mesh(mesh.broker("us"), "training"))
    async with running(service, Mesh(mesh.broker("us"), "scoring")) as run:
        await models.add(version(), pack(trained().plain()))
        await models.promote("propensity", "20260302-1", "better", at=NOW)
        scorer = run.provided[Scorer]
        await until(lambda: served_version(scorer, "20260302-1"), patience=200)
        await shop.publish(*(viewed("v1", f"p{at}", at) for at in range(6)))

        async def all_seen():
            found = await shop.last(UserScored, "v1")
            return found if found and found.event.model_version != "base-rate" else None

        scored = (await until(all_seen)).event

    assert scored.model_version == "20260302-1"
    assert 1 <= len(scored.reasons) <= 3
    assert any("product page" in reason.text for reason in scored.reasons)


@pytest.mark.timeout(300)
async def test_a_bad_artifact_is_refused_and_the_running_model_serves_on(mesh, shop):
    """A pickle or an empty file, once promoted, changes nothing."""
    import pickle

    from ml.models.artifact import pack

    models = Registry(Mesh(mesh.broker("us"), "training"))
    scoring = Mesh(mesh.broker("us"), "scoring")
    good = pack(trained().plain())
    await models.add(version("good"), good)
    await models.add(version("pickle"), pickle.dumps(trained()))
    await models.add(version("empty"), b"")
    await models.promote("propensity", "good", "first", at=NOW)
    async with running(service, scoring) as run:
        scorer = run.provided[Scorer]
        await until(lambda: served_version(scorer, "good"), patience=200)
        champion = scorer.models.champion("propensity")
        for bad in ("pickle", "empty"):
            await models.promote("propensity", bad, "by mistake", at=NOW)
            await scorer.models.adopt("propensity", await models.current("propensity"))

        assert scorer.models.champion("propensity") is champion
        refused = {(one.event.version, one.event.serving): one.event.reason async for one in shop.read(ModelRefused)}
        assert dict(refused.keys()) == {"pickle": "good", "empty": "good"}
        assert "a pickle" in refused["pickle", "good"]


async def test_a_replica_that_starts_later_knows_the_past(mesh, shop):
    """A replica with nothing in memory reads a visitor's views, carts and orders before it scores them."""
    order = OrderPlaced(
        order_id="o1", visitor_id="v1", lines=(line("p9"),), total=Money(amount=1, currency="EUR"), session_id="s-v1"
    )
    async with running(service, Mesh(mesh.broker("us"), "scoring")):
        await shop.publish(viewed("v1", "p1"), cart("v1", "p1"), Draft(event=order, time=NOW + timedelta(minutes=2)))
        state = shop.state(SHOPPERS)
        await until(lambda: state.get("v1"))

        async def both():
            return len((await state.get("v1")).steps) == 2

        await until(both)
    from ml.scoring.shopper_memory import Shoppers

    fresh = Shoppers(Mesh(mesh.broker("us"), "scoring"), most=10)
    await fresh.look_up(["v1"])
    known = dict(zip(names(), fresh.of("v1").vector(NOW.timestamp() + 300, "s-v1"), strict=True))

    assert (known["views"], known["visitor_cart_adds"], known["visitor_purchases"]) == (1, 1, 1)


async def test_a_large_catalogue_does_not_hide_who_was_there(mesh, shop):
    """However much else a stream holds, a process that starts knows all visitors whose steps it may keep."""
    await shop.publish(cart("v1", "p1"))
    for at in range(0, 600, 200):
        await shop.publish(*(ProductListed(product_id=f"p{number}") for number in range(at, at + 200)))
    scorer = Scorer(Mesh(mesh.broker("us"), "scoring"), Recommender(), shoppers=10, warm=100)
    following = asyncio.create_task(scorer.follow_log(period=0.1))

    async def complete():
        return scorer.shoppers.complete

    await until(complete)
    following.cancel()

    assert [step.kind for step in scorer.shoppers.of("v1").steps] == ["cart"]


async def test_a_new_shop_is_recommended_from_what_came_after_the_first_visit(mesh, shop):
    """The first index holds one visit; it is not used for a whole period while the log grows beyond its double."""
    await shop.publish(viewed("v1", "p1"))
    scorer = Scorer(Mesh(mesh.broker("us"), "scoring"), Recommender(), shoppers=100, warm=10)
    following = asyncio.create_task(scorer.follow_log(period=3600))

    async def indexed():
        return scorer.recommender.index

    first = await until(indexed)
    for number in range(LEAST_NEWS):
        scorer.learn(received_draft(viewed(f"w{number}", "p2"), f"w{number}"))

    async def renewed():
        return scorer.recommender.index is not first

    await until(renewed)
    following.cancel()
    assert not scorer.recommender.outgrown


def seen_by(recommender, visitor):
    """How many steps of a visitor are in what recommendations are made of."""
    held = min(recommender._learnt, len(recommender._items))
    indexed = recommender.index._visitors if recommender.index else ()
    return [list(part).count(hash(visitor)) for part in (recommender._visitors[:held], indexed)]


async def test_who_was_erased_is_forgotten_and_not_learnt_again(mesh, shop):
    """Memory, index and bucket forget them, also for a replica that starts later; what comes after counts."""
    scoring, state = Mesh(mesh.broker("us"), "scoring"), shop.state(SHOPPERS)
    async with running(service, scoring) as run:
        scorer = run.provided[Scorer]
        await shop.publish(viewed("ada", "p1"), viewed("ada", "p2", 1), cart("ada", "p1"), viewed("bob", "p1"))
        await shop.publish(cart("bob", "p1"))

        async def kept():
            await scorer.recommender.refresh()
            return seen_by(scorer.recommender, "ada") == [3, 1] and await state.get("ada") and await state.get("bob")

        await until(kept, patience=60)
        await shop.publish(
            ProfileErased(request="r", region="us", visitors=1, keys=0, records=0, visitor_ids=("ada", "nobody"))
        )

        async def gone():
            await scorer.recommender.refresh()
            return seen_by(scorer.recommender, "ada") == [0, 0] and await state.get("ada") is None

        await until(gone, patience=60)
        here = (
            list(scorer.shoppers.of("ada").steps),
            len(scorer.shoppers.of("bob").steps),
            await state.get("bob") is not None,
        )
        later = datetime.now(UTC) + timedelta(minutes=1)
        await shop.publish(replace(cart("ada", "p9"), time=later))
        await until(lambda: state.get("ada"), patience=60)
    fresh = Scorer(Mesh(mesh.broker("us"), "scoring"), Recommender(), shoppers=10, warm=100)
    await fresh.read_erased()
    await fresh.shoppers.look_up(["ada"])
    looked_up = [step.products for step in fresh.shoppers.of("ada").steps]
    async for one in shop.read(ProductViewed, CartUpdated):
        fresh.learn(one)
    await fresh.shoppers.keep({"ada": [Step(NOW.timestamp(), "an old one", "cart", "s-ada")]})

    assert here == ([], 2, True)
    assert looked_up == [("p9",)]
    assert [step.products for step in fresh.shoppers.of("ada").steps] == [("p9",)]
    assert seen_by(fresh.recommender, "ada") == [0, 0]
    assert [step.products for step in (await state.get("ada")).steps] == [("p9",)]


async def served_version(scorer, wanted):
    champion = scorer.models.champion("propensity")
    return champion is not None and champion.version == wanted


def test_what_scoring_touches_is_declared():
    """The service says which events it publishes, and its object store is the registry's."""
    assert [declaration_of(kind).type for kind in service.publishes] == [
        "user.scored.v1",
        "cart.scored.v1",
        "model.shadowed.v1",
        "model.refused.v1",
    ]
    assert service.object_stores == (MODELS,)
