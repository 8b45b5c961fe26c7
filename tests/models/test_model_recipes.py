"""Each model's recipe reads a log, fits, and judges; a log that cannot teach says what it lacks."""

import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from msgspec.structs import replace

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.errors import DeclarationError
from mesh.events.cart import CartScored
from mesh.events.interaction import ProductViewed
from mesh.events.offer import Assignment, OfferDecided
from mesh.events.order import OrderPlaced
from mesh.events.user import Evidence
from mesh.publish import Draft
from mesh.runtime.run import running
from ml.features import digest, names
from ml.lifecycle.admission import admit, serving
from ml.lifecycle.model_loaders import LOADERS
from ml.lifecycle.registry import Registry
from ml.lifecycle.serving_models import ServingModels
from ml.models.artifact import ArtifactRefused, pack, unpack
from ml.models.blend import NAMES, WEIGHTS
from ml.scoring.service import service
from ml.training.recipes import RECIPES, recipe
from ml.training.recommendation_weights import KIND, RankingModel, of, plain
from ml.training.result import TrainingRequest

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ORDER = TrainingRequest(by="a test", at=NOW)
PRICE = Money(amount=1999, currency="EUR")


@pytest.fixture
def mesh():
    return Mesh(MemoryMesh("us").broker("us"), "training")


async def wandered(mesh, sessions=300):
    """Shoppers of whom each walks up a row of products, now and then from somewhere else."""
    dice = random.Random(2)
    for session in range(sessions):
        place = dice.randrange(40)
        for step in range(4):
            place = (place + 1) % 40 if dice.random() < 0.8 else dice.randrange(40)
            who = {"visitor_id": f"v{session}", "session_id": f"s{session}"}
            viewed = ProductViewed(product_id=f"p{place}", price=PRICE, **who)
            await mesh.publish(Draft(event=viewed, time=NOW + timedelta(minutes=session, seconds=step)))


def test_whoever_is_learnt_can_be_served():
    """A recipe and a loader for each model."""
    assert RECIPES.keys() == {*LOADERS, "fraud"} == {"propensity", "uplift", "recommendations", "fraud"}
    with pytest.raises(DeclarationError, match="no model is called 'magic'; there are propensity, uplift"):
        recipe("magic")


@pytest.mark.parametrize("name", RECIPES)
async def test_an_empty_log_teaches_nothing(mesh, name):
    """No model, no error, and words."""
    chosen = recipe(name)

    learnt = chosen.fit(await chosen.read([mesh]), ORDER).judge(None)

    assert (learnt.accepted, learnt.version, learnt.rows) == (False, None, 0)
    assert learnt.reason.startswith("nothing learnt: ")


async def test_weights_of_recommendations_are_tuned_and_judged(mesh):
    """On the newest sessions, against what serves; the figures stand in the verdict and in the version."""
    await wandered(mesh)
    chosen = recipe("recommendations")

    learnt = chosen.fit(await chosen.read([mesh]), ORDER).judge(None)

    assert learnt.version.features == NAMES
    assert learnt.version.figures.keys() >= {"hit_rate", "reciprocal_rank"}
    assert learnt.version.figures["reciprocal_rank"] > 0.2
    assert "the weights that come with the release" in learnt.reason
    assert of(unpack(learnt.artifact, kind=KIND, features=NAMES)).keys() == WEIGHTS.keys()


async def test_the_same_weights_again_do_not_pass(mesh):
    """What gains nothing beyond chance is not tried."""
    await wandered(mesh)
    chosen = recipe("recommendations")
    fitted = chosen.fit(await chosen.read([mesh]), ORDER)

    async def judge(served):
        return replace(fitted.judge(served), accepted=True)

    await admit(mesh, judge, "recommendations", "promote")
    again = fitted.judge(await serving(mesh, "recommendations"))

    assert not again.accepted
    assert again.reason.startswith("no better beyond chance")


async def test_promoted_weights_rank_without_a_restart(mesh, eventually):
    """The recommender takes them at its next refresh."""
    await wandered(mesh, sessions=30)
    chosen = recipe("recommendations")
    assert not chosen.fit(await chosen.read([mesh]), ORDER).judge(None).accepted
    weights = {**WEIGHTS, NAMES[0]: 7.0}

    async with running(service, Mesh(mesh.broker, "scoring")) as run:
        scorer = next(value for kind, value in run.provided.items() if kind.__name__ == "Scorer")
        await eventually(lambda: scorer.recommender.index is not None)
        before = scorer.recommender.index
        scorer.models._champions["recommendations"] = _seat(weights)
        await eventually(lambda: scorer.recommender.index is not before)

    assert scorer.recommender.index._blend.weights == weights


def _seat(weights):
    from ml.lifecycle.serving_models import LoadedModel

    return LoadedModel(version="w", model=RankingModel(weights=weights, log_appeal={}))


def test_weights_that_are_no_numbers_are_refused():
    """Of another list of sources, or beyond all bounds."""
    with pytest.raises(ArtifactRefused, match="not one usable number for each source"):
        of(replace(plain(WEIGHTS), arrays={"weights": plain(WEIGHTS).array("weights")[1:]}))
    with pytest.raises(ArtifactRefused, match="not one usable number"):
        of(unpack(pack(plain({**WEIGHTS, NAMES[0]: 1e9})), kind=KIND, features=NAMES))


async def test_a_version_of_any_model_is_registered_the_same_way(mesh):
    """One mapping, one registry."""
    await wandered(mesh)
    chosen = recipe("recommendations")
    fitted = chosen.fit(await chosen.read([mesh]), ORDER)

    async def judge(served):
        learnt = fitted.judge(served)
        return replace(learnt, accepted=True)

    admitted = await admit(mesh, judge, "recommendations", "usual")

    assert admitted.place == "serves"
    assert (await Registry(mesh).current("recommendations")).version == admitted.learnt.version.version


async def drawn(mesh, carts=900):
    """Carts of which half were sent an offer by lot; those who like offers, half of all, buy only with one."""
    dice = random.Random(3)
    for cart in range(carts):
        at, likes, sent = NOW + timedelta(minutes=cart), dice.random() < 0.5, dice.random() < 0.5
        values = tuple(float(likes) if name == "views" else dice.gauss(0, 1) for name in names())
        who = {"cart_id": f"c{cart}", "visitor_id": f"v{cart}", "abandonment_id": f"left-{cart}"}
        proof = Evidence(at=at, steps=1, features_digest=digest(), values=values)
        scored = CartScored(
            propensity=0.5, model_version="base-rate", reasons=(), recommended=(), evidence=proof, **who
        )
        decided = OfferDecided(
            offer_id=f"f{cart}",
            attempt=1,
            outcome="approved" if sent else "dropped",
            reason="",
            checks=(),
            journey="abandoned-cart",
            due=at,
            assignment=Assignment(arm="0" if sent else "none", probability=0.5, withheld=0.5, eligible=True),
            **who,
        )
        await mesh.publish(Draft(event=scored, time=at), Draft(event=decided, time=at))
        if dice.random() < (0.7 if likes and sent else 0.2):
            order = OrderPlaced(order_id=f"o{cart}", visitor_id=f"v{cart}", lines=(), total=PRICE)
            await mesh.publish(Draft(event=order, time=at + timedelta(minutes=5)))


@pytest.mark.timeout(300)  # a cold import of scikit-learn in a child, on a busy machine
async def test_an_adviser_is_learnt_from_the_log_registered_and_served(mesh):
    """From randomised offers in the streams to the advice of a scoring process, under the registered name."""
    await drawn(mesh)
    chosen = recipe("uplift")
    fitted = chosen.fit(await chosen.read([mesh]), ORDER)

    async def judge(served):
        return fitted.judge(served)

    admitted = await admit(mesh, judge, "uplift", "usual")
    loaded = ServingModels(mesh, LOADERS)
    await loaded.adopt("uplift", await Registry(mesh).current("uplift"))

    assert admitted.place == "serves", admitted.learnt.reason
    rows = [[float(likes) if name == "views" else 0.0 for name in names()] for likes in (True, False)]
    keen, cool = loaded.champion("uplift").model.advise(np.array(rows))
    assert (keen.version, keen.decision) == (admitted.learnt.version.version, "target")
    assert keen.arms[0].purchase - keen.unaided > 0.2 > cool.arms[0].purchase - cool.unaided
