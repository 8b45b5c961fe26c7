"""The fraud model: what is known of an order is recorded with its decision, and the score is a rule like others."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh, Money
from mesh.events.fraud import FraudCheckRequested, FraudCleared, FraudShadowJudged
from mesh.events.order import OrderConfirmed
from mesh.events.payment import PaymentFlagged
from mesh.fraud_model import FRAUD_MODELS, FraudModel, FraudTree
from mesh.runtime.run import running
from services import fraud
from services.fraud.current_rules import publish_rules
from services.fraud.features import features_of
from services.fraud.memory import Memory
from services.fraud.model import Trees
from services.fraud.review.backtest import backtest
from services.fraud.rules import FraudSettings, Rules, rules_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SILENT = rules_of(FraudSettings(fraud_velocity=(), fraud_account_weight=0))
MODELLED = rules_of(
    FraudSettings(fraud_velocity=(), fraud_account_weight=0, fraud_model_at=0.8, fraud_model_weight=100)
)
"""Rules of which the model's alone can match."""
STUMP = FraudTree(feature=(0,), threshold=(1.5,), unknown_left=(True,), value=(0.0, -3.0, 3.0))
"""More than one order of a card within an hour looks like fraud."""
PADDED = FraudTree(
    feature=(1, 0, 0), threshold=(24.0, None, None), unknown_left=(False,) * 3, value=(0.0, 1.0, -1.0, 1, 1, -1, -1)
)
"""So does an account that is a day old at most."""


def model(version="m1", **fields):
    known = {"features": ("card_1h", "account_hours"), "baseline": 0.0, "trees": (STUMP, PADDED), "learnt_until": NOW}
    return FraudModel(version=version, knots=(0.0, 0.5, 1.0), levels=(0.0, 0.25, 1.0), **(known | fields))


def asked(order="o1", amount=4200, **fields):
    return FraudCheckRequested(order_id=order, amount=Money(amount=amount, currency="EUR"), **fields)


def test_what_is_known_of_an_order_is_its_features():
    """Counts in each window, the amount beside the customer's own, ages and differences; nothing that is unknown."""
    memory = Memory()
    for number, seconds in enumerate((30, 600, 7200)):
        memory.add(asked(f"x{number}", card="c"), NOW - timedelta(seconds=seconds))
    memory.add(order := asked(card="c", customer_id="k", address="a", billing_address="b"), NOW)
    total = Money(amount=1000, currency="EUR")
    memory.spent(OrderConfirmed(order_id="old", lines=(), total=total, customer_id="k"))
    known = {"card_1m": 2.0, "card_1h": 3.0, "card_24h": 4.0, "address_1m": 1.0, "address_1h": 1.0, "address_24h": 1.0}
    known |= {"amount": 42.0, "orders_before": 1.0, "amount_ratio": 4.2, "other_address": 1.0}

    assert features_of(order, NOW, memory) == known
    memory.add(asked("later", card="c"), NOW + timedelta(seconds=5))
    assert features_of(order, NOW, memory) == known
    young = asked(account_created=NOW - timedelta(hours=2), billing_country="DE", delivery_country="DE")
    assert features_of(young, NOW, Memory()) == {
        "amount": 42.0,
        "orders_before": 0.0,
        "account_hours": 2.0,
        "other_country": 0.0,
    }


def test_the_score_names_the_features_that_raise_it():
    """In words, strongest first; what is unknown goes the way that most orders went."""
    trees = Trees(model())

    suspicious = trees.score({"card_1h": 7.0, "account_hours": 2.0})
    plain = trees.score({})
    half = trees.score({"card_1h": 1.0, "account_hours": 2.0})

    assert suspicious.drivers == ("7 orders of one card in 1h", "the account is 2.0 h old")
    assert suspicious.probability == pytest.approx(0.25 + 0.75 * (1 / (1 + 2.718281828**-4) - 0.5) / 0.5, abs=1e-6)
    assert plain.probability < half.probability < 0.25 < suspicious.probability
    assert (plain.drivers, half.drivers) == ((), ("the account is 2.0 h old",))


@pytest.mark.parametrize(
    "fields",
    [
        {"trees": (FraudTree(feature=(9,), threshold=(1.0,), unknown_left=(True,), value=(0, 0, 0)),)},
        {"trees": (FraudTree(feature=(0,), threshold=(1.0,), unknown_left=(True,), value=(0, 0)),)},
        {"trees": (FraudTree(feature=(0, 0), threshold=(1.0, 1.0), unknown_left=(True, True), value=(0,) * 5),)},
        {"knots": (0.5, 0.0, 1.0)},
        {"knots": ()},
    ],
)
def test_a_document_that_makes_no_model_is_refused(fields):
    """Before an order is scored by it."""
    known = {"knots": (0.0, 0.5, 1.0)} | fields
    document = model()
    with pytest.raises(ValueError):
        Trees(FraudModel(**{name: getattr(document, name) for name in document.__struct_fields__} | known))


async def test_a_decision_records_what_was_known_and_what_the_models_found(regions, mesh, eventually):
    """With a weight the model's score flags; the candidate's decides nothing. Shadow rules have their own weight."""
    await mesh.state(FRAUD_MODELS).put("serving", model())
    await mesh.state(FRAUD_MODELS).put("candidate", model("m2", baseline=9.0))
    await publish_rules("live", SILENT, author="a", note="", expected=0, mesh=mesh)
    await publish_rules("shadow", MODELLED, author="a", note="", expected=0, mesh=mesh)
    account = {"account_created": datetime.now(UTC), "card": "c"}
    broker = regions.broker("us")
    async with running(fraud.service, Mesh(broker, "fraud")):
        await mesh.publish(asked("o1", **account))
        await eventually(lambda: mesh.last(FraudShadowJudged, "o1"))
        await mesh.publish(asked("o2", **account))
        found = (await eventually(lambda: mesh.last(FraudShadowJudged, "o2"))).event
        cleared = (await mesh.last(FraudCleared, "o2")).event

        assert (cleared.score, cleared.rules, cleared.features["card_1h"]) == (0, (), 2.0)
        assert (cleared.model.version, cleared.candidate.version) == ("m1", "m2")
        assert cleared.model == Trees(model()).score(cleared.features)
        assert (found.flagged, found.rules, found.live_flagged) == (True, ("model",), False)

        await publish_rules("live", MODELLED, author="a", note="", expected=1, mesh=mesh)

        async def flagged_at_last():
            order = f"n{datetime.now(UTC).timestamp()}".replace(".", "-")
            await mesh.publish(asked(order, **account))
            await eventually(lambda: mesh.last(FraudShadowJudged, order))
            return await mesh.last(PaymentFlagged, order)

        flagged = (await eventually(flagged_at_last)).event
    await broker.drain()

    assert flagged.rules == ("model",)
    assert flagged.reasons[0].startswith("fraud with a probability of 9")
    assert "orders of one card in 1h, the account is 0.0 h old" in flagged.reasons[0]


async def test_a_trial_judges_by_the_model_too(mesh):
    """By the version that serves; it says how many of the orders the model may have learnt from."""
    now = datetime.now(UTC)
    for order in ("first", "second"):
        await mesh.publish(asked(order, card="c", account_created=now - timedelta(hours=1)))
    without = await backtest(mesh, Rules(MODELLED), Rules(SILENT), days=7, now=datetime.now(UTC))
    await mesh.state(FRAUD_MODELS).put("serving", model(learnt_until=datetime.now(UTC)))

    found = await backtest(mesh, Rules(MODELLED), Rules(SILENT), days=7, now=datetime.now(UTC))

    assert (without.tried.flagged, without.learnt_from) == (0, 0)
    assert (found.tried.flagged, found.live.flagged, found.learnt_from) == (1, 0, 2)
    assert found.examples[0].order_id == "second"
