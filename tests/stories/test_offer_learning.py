"""Offers by allocation, learnt from: from decisions and purchases in the log to an adviser to another decision."""

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh
from mesh.events.cart import CartAbandoned, CartLine, CartScored, CartUpdated
from mesh.events.offer import OfferDecided
from mesh.events.order import OrderPlaced
from mesh.events.user import Evidence
from mesh.money import Money
from mesh.publish import Draft
from mesh.runtime.run import running
from ml.features import digest, names
from ml.training.offer_assignments import training_rows
from ml.training.uplift import learn
from notifications.decision_input import DecisionInput
from notifications.evaluation import evaluate
from notifications.journeys import load
from notifications.offers import service as offers

LINE = CartLine(product_id="p1", quantity=1, price=Money(amount=10_000, currency="EUR"), name="Lamp")
SHOPPERS = 750
HORIZON = timedelta(days=1)


class Shop:
    """Carts that are left and scored, said by hand. Those with taste are changed by an offer, the others never."""

    def __init__(self, regions, region="us"):
        self.mesh = Mesh(regions.broker(region), "tests", others=())
        self.chance = random.Random(5)

    async def leave(self, visitor, taste, *, advise=None):
        """A filled cart, left, and its score a moment later."""
        cart, left, now = f"c-{visitor}", f"left-{visitor}", datetime.now(UTC)
        await self.mesh.publish(CartUpdated(cart_id=cart, visitor_id=visitor, lines=(LINE,)))
        abandoned = CartAbandoned(
            cart_id=cart, visitor_id=visitor, lines=(LINE,), total=LINE.price, left_at=now, due=now
        )
        await self.mesh.publish(Draft(event=abandoned, id=left))
        await self.score(visitor, taste, advise)

    async def score(self, visitor, taste, advise=None):
        """What scoring says of the cart, with what it says it from."""
        values = [taste, *(self.chance.gauss(0, 1) for _ in names()[1:])]
        scored = CartScored(
            cart_id=f"c-{visitor}",
            visitor_id=visitor,
            abandonment_id=f"left-{visitor}",
            propensity=0.2,
            model_version="base-rate",
            reasons=(),
            recommended=(),
            evidence=Evidence(at=datetime.now(UTC), steps=1, features_digest=digest(), values=tuple(values)),
            advice=advise(values) if advise else None,
        )
        await self.mesh.publish(scored)

    async def decide(self, visitor, rules, now):
        """An earlier decision, evaluated as the service judges."""
        inputs = DecisionInput(cart="left", cart_detail="", due=now, total=LINE.price, person=visitor, propensity=0.2)
        evaluation = evaluate(inputs, rules, now)
        decided = OfferDecided(
            cart_id=f"c-{visitor}",
            visitor_id=visitor,
            offer_id=f"offer-{visitor}",
            abandonment_id=f"left-{visitor}",
            attempt=1,
            outcome=evaluation.outcome,
            reason=evaluation.reason,
            checks=evaluation.checks,
            journey=rules.name,
            due=now,
            assignment=evaluation.assignment,
        )
        await self.mesh.publish(Draft(event=decided, time=now))
        return evaluation.assignment.arm

    async def decided(self, visitor):
        found = (await self.mesh.history(f"c-{visitor}", "offer")).of(OfferDecided)
        return found[-1].event if found else None

    async def buy(self, visitor, at):
        order = OrderPlaced(order_id=f"o-{visitor}", visitor_id=visitor, lines=(LINE,), total=LINE.price)
        await self.mesh.publish(Draft(event=order, time=at))


@pytest.fixture
def journey(monkeypatch):
    settings = {
        "CHANNELS": "onsite",
        "QUIET": "",
        "CONTACT_INTERVAL": "0s",
        "EXPLORE": "1.0",
        "DISCOUNT_DEPTHS": "0,10",
        "SCORE_LIMIT": "30s",
        "CONTACT_COST": "3 EUR",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"CARTMESH_JOURNEY_{name}", value)
    return monkeypatch


@asynccontextmanager
async def deciding(regions, region="us"):
    async with running(offers, Mesh(regions.broker(region), offers.name, others=())):
        yield


@pytest.mark.drill
async def test_what_chance_gave_teaches_whom_an_offer_changes(regions, journey, eventually):
    """Everyone's offer by allocation, purchases, an adviser; then one shopper gets an offer and the other does not."""
    shop, rules, now = Shop(regions), load(), datetime.now(UTC)
    for at in range(SHOPPERS):
        visitor, taste, decided = f"v{at}", float(at % 2), now + timedelta(minutes=at)
        await shop.score(visitor, taste)
        arm = await shop.decide(visitor, rules, decided)
        if shop.chance.random() < (0.7 if taste and arm != "none" else 0.2):
            await shop.buy(visitor, decided + timedelta(hours=1))
    await shop.buy("someone-else", now + 3 * HORIZON)

    outcome = await asyncio.to_thread(learn, await training_rows(shop.mesh), horizon=HORIZON)

    assert outcome.better, outcome.reason
    assert (outcome.rows, outcome.choice.decision) == (SHOPPERS, "target")
    journey.setenv("CARTMESH_JOURNEY_EXPLORE", "0")

    def advise(values):
        return outcome.adviser.advise(_row(values))[0]

    elsewhere = Shop(regions, "eu")  # where no scores of all the others wait to be decided on
    async with deciding(regions, "eu"):
        await elsewhere.leave("moved", 1.0, advise=advise)
        await elsewhere.leave("unmoved", 0.0, advise=advise)
        moved = await eventually(lambda: elsewhere.decided("moved"), within=60)
        unmoved = await eventually(lambda: elsewhere.decided("unmoved"), within=60)

    assert (moved.outcome, moved.assignment.arm) == ("approved", "0")
    assert (unmoved.outcome, unmoved.reason) == ("dropped", "not worth it")
    (check,) = [one for one in unmoved.checks if one.name == "worth it"]
    assert "choosing recipients helps" in check.value


def _row(values):
    import numpy as np

    return np.array([values])


async def test_every_assignment_is_in_the_log_with_its_chance(regions, journey, eventually):
    """One decision per cart, sent or not, and each says what was given and with what probability."""
    shop = Shop(regions)
    async with deciding(regions):
        for at in range(30):
            await shop.leave(f"v{at}", 0.0)
        decisions = [await eventually(lambda at=at: shop.decided(f"v{at}")) for at in range(30)]

    assert {one.assignment.arm for one in decisions} == {"none", "0", "10"}
    for one in decisions:
        assert one.assignment.eligible
        assert one.assignment.probability == one.assignment.withheld == pytest.approx(1 / 3)
        assert (one.outcome == "approved") == (one.assignment.arm != "none")
        assert one.outcome != "approved" or str(one.discount_percent) == one.assignment.arm


async def test_a_decision_without_a_score_teaches_nothing(regions, journey, eventually):
    """What was not known of a cart when it was decided cannot be learnt from later."""
    journey.setenv("CARTMESH_JOURNEY_SCORE_LIMIT", "50ms")
    shop, now = Shop(regions), datetime.now(UTC)
    async with deciding(regions):
        await shop.mesh.publish(CartUpdated(cart_id="c-ada", visitor_id="ada", lines=(LINE,)))
        left = CartAbandoned(cart_id="c-ada", visitor_id="ada", lines=(LINE,), total=LINE.price, left_at=now, due=now)
        await shop.mesh.publish(left)
        decided = await eventually(lambda: shop.decided("ada"))

    assert decided.assignment is not None
    assert (await training_rows(shop.mesh)).is_empty()


async def test_of_a_long_log_whole_visitors_are_left_out(regions, journey):
    """What is read stays bounded, and whoever is kept is kept with everything."""
    shop, rules, now = Shop(regions), load(), datetime.now(UTC)
    for at in range(60):
        await shop.score(f"v{at}", 0.0)
        await shop.decide(f"v{at}", rules, now)
        await shop.buy(f"v{at}", now + timedelta(hours=1))

    few, everyone = await training_rows(shop.mesh, most=60), await training_rows(shop.mesh)

    assert len(everyone) == 60
    assert 0 < len(few) <= 30
    assert few["waited"].to_list() == [3600.0] * len(few)
