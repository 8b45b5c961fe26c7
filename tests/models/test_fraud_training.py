"""The fraud model learns from what was known when orders were judged; trained on a shop with planted fraud.

The shop is simulated, so its figures say that the model finds what was planted, and nothing of a real shop's fraud.
`pytest -s` prints them.
"""

import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from msgspec.structs import replace

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.fraud import FraudCheckRequested, FraudCleared, FraudLabelled
from mesh.events.order import OrderConfirmed
from mesh.events.payment import PaymentFlagged
from mesh.fraud_model import FRAUD_MODELS
from mesh.publish import Draft
from ml.lifecycle.admission import admit
from ml.lifecycle.fraud_documents import FraudDocuments
from ml.lifecycle.registry import Registry
from ml.lifecycle.review import drifted
from ml.models.artifact import unpack
from ml.models.propensity_serving import Model
from ml.training.fraud import MATURE, Decision, Decisions, labelled
from ml.training.recipes import recipe
from ml.training.result import TrainingRequest
from services.fraud.features import features_of
from services.fraud.memory import Memory
from services.fraud.model import Trees
from services.fraud.rules import FraudSettings, Rules, judge, rules_of, score_of

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ORDER = TrainingRequest(by="a test", at=NOW)
RULES = Rules(rules_of(FraudSettings()))


def shop(orders, seed=7):
    """Orders of a shop with 6 % of planted fraud: check, time, and whether it is fraud.

    Thieves try stolen cards on new accounts in bursts from one device, below what the rules count; or they order far
    above the amounts of an account that they took over, to another address.
    """
    dice = random.Random(seed)
    at, made = NOW, []
    while len(made) < orders:
        at += timedelta(seconds=dice.expovariate(1 / 300))
        if dice.random() < 0.015:
            device = f"thief-{dice.random()}"
            for number in range(dice.randint(2, 4)):
                when = at + timedelta(seconds=20 * number)
                stolen = {"card": f"stolen-{dice.random()}", "device": device, "account_created": at}
                made.append((check(len(made), dice.uniform(80, 300), **stolen), when, True))
        elif dice.random() < 0.02:
            who = customer(dice)
            taken = who | {"billing_address": f"home-{who['customer_id']}", "address": f"drop-{dice.random()}"}
            made.append((check(len(made), dice.uniform(150, 900), **taken), at, True))
        else:
            who = customer(dice)
            home = f"home-{who['customer_id']}"
            elsewhere = home if dice.random() < 0.9 else f"office-{who['customer_id']}"
            facts = who | {"billing_address": home, "address": elsewhere}
            made.append((check(len(made), dice.lognormvariate(3.6, 0.6), **facts), at, False))
    return made


def customer(dice):
    number = dice.randrange(400)
    age = timedelta(days=number + 1) if number > 20 else timedelta(hours=number)
    return {
        "customer_id": f"k{number}",
        "card": f"card-{number}",
        "device": f"device-{number}",
        "account_created": NOW - age,
    }


def check(number, amount, **facts):
    return FraudCheckRequested(order_id=f"o{number}", amount=Money(amount=int(amount * 100), currency="EUR"), **facts)


def judged(orders):
    """Each order with its features as the check had them then, and the weight by the rules of the settings."""
    memory = Memory()
    for asked, at, fraud in orders:
        memory.add(asked, at)
        yield asked, at, fraud, features_of(asked, at, memory), score_of(judge(asked, at, memory, RULES))
        if not fraud and asked.customer_id:
            memory.spent(
                OrderConfirmed(order_id=asked.order_id, lines=(), total=asked.amount, customer_id=asked.customer_id)
            )


@pytest.fixture
def mesh():
    return Mesh(MemoryMesh("us").broker("us"), "training")


async def publish(mesh, orders):
    """The log of a shop: decisions, and labels two days later."""
    for asked, at, fraud, features, weight in judged(orders):
        kind = PaymentFlagged if weight >= RULES.written.flag_at else FraudCleared
        more = {"reasons": ()} if kind is PaymentFlagged else {}
        decided = kind(order_id=asked.order_id, score=weight, rules=(), answers="a", features=features, **more)
        await mesh.publish(Draft(event=decided, time=at))
        label = FraudLabelled(
            order_id=asked.order_id,
            label="fraud" if fraud else "legitimate",
            source="chargeback" if fraud else "review",
            author="a",
        )
        await mesh.publish(Draft(event=label, time=at + timedelta(days=2)))


def caught(frauds, alarms, scores):
    """The share of frauds among as many of the highest scores as there may be alarms."""
    return float(frauds[np.argsort(-scores, kind="stable")[:alarms]].sum() / frauds.sum())


@pytest.mark.timeout(600)  # two cold imports of scikit-learn in children, on a busy machine
async def test_a_trained_model_serves_the_check_and_finds_planted_fraud(mesh):
    """From the log to the document: its scores are the artifact's, and it catches more than the rules by themselves.

    A version that is tried is handed over beside it, and taken back.
    """
    await publish(mesh, shop(1000))
    chosen = recipe("fraud")
    fitted = chosen.fit(await chosen.read([mesh]), ORDER)

    async def judge_it(running):
        return fitted.judge(running)

    admitted = await admit(mesh, judge_it, "fraud", "usual")
    first = admitted.learnt.version
    documents, state = FraudDocuments(mesh), mesh.state(FRAUD_MODELS)
    await documents.hand_over()
    stored = await state.get("serving")

    assert admitted.place == "serves", admitted.learnt.reason
    assert (stored.version, stored.learnt_until, await state.get("candidate")) == (
        first.version,
        first.window[1],
        None,
    )
    served = Model.of(unpack(admitted.learnt.artifact, kind="fraud"))
    later = list(judged(shop(1000, seed=8)))
    rows = np.array([[features.get(name, np.nan) for name in served.features] for *_, features, _ in later])
    probabilities, shares = served.explain(rows)
    trees = Trees(stored)
    explained = [trees.explain(features) for *_, features, _ in later]
    np.testing.assert_allclose([one for one, _ in explained], probabilities, atol=1e-9)
    np.testing.assert_allclose([[*share.values()] for _, share in explained], shares, atol=1e-9)

    frauds = np.array([fraud for _, _, fraud, _, _ in later], dtype=np.float64)
    weights = np.array([weight for *_, weight in later], dtype=np.float64)
    alarms = int(frauds.sum())
    by_model, by_rules = caught(frauds, alarms, probabilities), caught(frauds, alarms, weights)
    print(f"newest orders: AUC {first.metrics.auc:.3f}, PR-AUC {first.metrics.pr_auc:.3f}")
    print(f"another shop, {alarms} frauds in {len(later)}: caught {by_model:.2f} by the model, {by_rules:.2f} by rules")
    assert by_model > by_rules + 0.1
    assert "orders" in (await drifted(mesh, "fraud", at=NOW)).drift.description

    registry = Registry(mesh)
    await registry.add(replace(first, version="v2"), admitted.learnt.artifact)
    await registry.stage("fraud", "v2", "shadow", "tried")
    await documents.hand_over()
    tried = await state.get("candidate")
    await registry.withdraw("fraud", "not now")
    await documents.hand_over()

    assert tried == replace(stored, version="v2")
    assert [await state.get(role) for role in ("serving", "candidate")] == [stored, None]


def test_only_orders_of_which_it_is_known_what_they_were_are_learnt_from():
    """A label, or a cleared and confirmed order without one for long enough."""
    old, young = NOW - MATURE, NOW - timedelta(days=1)

    def decision(name, at, **fields):
        return Decision(order_id=name, at=at, features={"amount": 1.0}, **{"flagged": False, **fields})

    decisions = (
        decision("quiet", old, confirmed=True),
        decision("young", young, confirmed=True),
        decision("cancelled", old),
        decision("undecided", old, flagged=True, confirmed=True),
        decision("refused", young, flagged=True, label="fraud"),
        decision("approved", young, flagged=True, confirmed=True, label="legitimate"),
    )

    rows, labels = labelled(Decisions(decisions, NOW), MATURE)

    assert [one.order_id for one in rows] == ["quiet", "refused", "approved"]
    assert labels.tolist() == [0, 1, 0]


async def test_what_happens_after_a_decision_is_not_in_its_row(mesh):
    """A later decision about the same order, and anything of other orders, changes no row that was there."""
    await publish(mesh, shop(60))
    before = {one.order_id: one.features for one in (await recipe("fraud").read([mesh])).judged}
    again = FraudCleared(order_id="o5", score=0, answers="b", features={"amount": -1.0})
    await mesh.publish(Draft(event=again, time=NOW + timedelta(days=9)))
    await publish(mesh, [(check(900, 5, card="card-1"), NOW + timedelta(days=9), True)])

    after = {one.order_id: one.features for one in (await recipe("fraud").read([mesh])).judged}

    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"o900"}
