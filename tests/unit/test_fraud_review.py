"""Fraud review: the queue, rules as documents, what shadow rules find, and a trial of rules on past orders."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mesh import Mesh, Money
from mesh.errors import Conflict, DeclarationError
from mesh.events.checkout import CheckoutAdvanced, CheckoutResumed, Resume, Resumed
from mesh.events.console import ConsoleChanged
from mesh.events.fraud import (
    FraudCheckRequested,
    FraudCleared,
    FraudLabelled,
    FraudRulesPublished,
    FraudShadowJudged,
)
from mesh.events.order import Command, OrderCreated
from mesh.events.payment import (
    Chargeback,
    PaymentChargebackReversed,
    PaymentChargedBack,
    PaymentFlagged,
    PaymentState,
)
from mesh.events.stock import StockReservationChanged
from mesh.runtime.run import running
from services import checkout, fraud
from services.fraud import review
from services.fraud.current_rules import publish_rules
from services.fraud.review.backtest import Counts, backtest
from services.fraud.rules import FraudSettings, Rules, rules_of

TOTAL = Money(amount=4200, currency="EUR")
STRICT = rules_of(FraudSettings(fraud_velocity=("card/1h>1=100",)))
LAX = rules_of(FraudSettings(fraud_velocity=("card/1h>9=100",)))
FORM = {
    "velocity": "card/1h>1=100\r\n",
    "flag_at": "100",
    "amount_factor": "2.5",
    "amount_orders": "3",
    "amount_weight": "0",
    "account_hours": "24",
    "account_weight": "0",
    "address_weight": "0",
    "country_weight": "0",
    "model_at": "0.75",
    "model_weight": "40",
    "days": "7",
    "live-revision": "0",
    "shadow-revision": "0",
}


def check(order, card="4242"):
    return FraudCheckRequested(order_id=order, amount=TOTAL, card=card)


def label(order, known):
    return FraudLabelled(order_id=order, label=known, source="review", author="a")


@pytest.fixture
async def start(regions):
    """Start services of `us` on the mesh in memory; the port of the last one."""
    brokers, runs = [], []

    async def begin(*services):
        for service in services:
            broker = regions.broker("us")
            run = running(service, Mesh(broker, service.name, others=("eu",)), http=("127.0.0.1", 0))
            started = await run.__aenter__()
            runs.append(run)
            brokers.append(broker)
        return started.port

    yield begin
    for run in reversed(runs):
        await run.__aexit__(None, None, None)
    for broker in brokers:
        await broker.drain()


async def published(mesh, rules, name="live", expected=0):
    return await publish_rules(name, rules, author="a", note="", expected=expected, mesh=mesh)


async def judged(mesh, order):
    return await mesh.last(FraudCleared, order) or await mesh.last(PaymentFlagged, order)


async def test_published_rules_decide_in_every_region(start, mesh, regions, eventually):
    """Those of the settings until then; the newest revision counts, whichever region published it."""
    await start(fraud.service)
    await mesh.publish(check("o1"), check("o2"))
    assert isinstance((await eventually(lambda: judged(mesh, "o2"))).event, FraudCleared)
    broker = regions.broker("eu")
    other = Mesh(broker, "fraud-review", others=("us",))
    await published(other, STRICT)

    async def flagged_at_last():
        order = f"n{datetime.now(UTC).timestamp()}".replace(".", "-")
        await mesh.publish(check(order))
        found = await eventually(lambda: judged(mesh, order))
        return isinstance(found.event, PaymentFlagged)

    await eventually(flagged_at_last)
    await broker.drain()


async def test_shadow_rules_judge_the_same_orders_and_decide_nothing(start, mesh, eventually):
    """What they find is stored beside the decision, with their revision."""
    await published(mesh, STRICT, "shadow")
    await start(fraud.service)
    await mesh.publish(check("o1"), check("o2"))

    assert await eventually(lambda: judged(mesh, "o2"))
    found = (await eventually(lambda: mesh.last(FraudShadowJudged, "o2"))).event

    assert (found.flagged, found.live_flagged, found.revision, found.rules) == (True, False, 1, ("card/1h>1=100",))
    assert await mesh.last(PaymentFlagged, "o2") is None


async def test_of_two_who_publish_at_once_one_is_told(mesh):
    """A revision follows the one that was looked at; rules that say nothing are never published."""
    assert await published(mesh, STRICT) == 1

    with pytest.raises(Conflict, match="published meanwhile"):
        await published(mesh, LAX)
    with pytest.raises(DeclarationError, match="velocity rule"):
        await published(mesh, rules_of(FraudSettings(fraud_velocity=("card",))), expected=1)

    assert await published(mesh, LAX, expected=1) == 2


async def test_a_trial_counts_what_rules_would_have_found(mesh):
    """Beside the rules in force, against what became of the orders; each is judged by what was before it."""
    for order in ("first", "fraud", "good", "unknown"):
        await mesh.publish(check(order))
    await mesh.publish(check("elsewhere", "other"), check("missed", "third"), check("fraud"))
    await mesh.publish(label("fraud", "fraud"), label("missed", "fraud"), label("good", "legitimate"))
    await mesh.publish(label("first", "fraud"), label("first", "legitimate"))

    found = await backtest(mesh, Rules(STRICT), Rules(LAX), days=7, now=datetime.now(UTC))
    later = await backtest(mesh, Rules(STRICT), Rules(LAX), days=7, now=datetime.now(UTC) + timedelta(days=8))

    assert found.orders == 6
    assert found.tried == Counts(flagged=3, caught=1, frauds=2, false_alarms=1, legitimate=2)
    assert found.live == Counts(flagged=0, caught=0, frauds=2, false_alarms=0, legitimate=2)
    assert [(one.order_id, one.label) for one in found.examples] == [
        ("unknown", None),
        ("good", "legitimate"),
        ("fraud", "fraud"),
    ]
    assert found.examples[0].reasons == ("4 orders of one card in 1h",)
    assert (later.orders, later.tried.flagged) == (0, 0)


async def test_rules_are_tried_and_published_by_the_form(start, mesh, staff):
    """A reviewer does, a viewer not. A form that is out of date, or wrong, changes nothing."""
    port = await start(review.service)
    vi, rev = await staff(mesh, port, "viewer"), await staff(mesh, port, "reviewer")
    await mesh.publish(check("o1"), check("o2"))

    async def send(who, path, **fields):
        return await who.send(f"/fraud/rules/{path}", page="/fraud/rules", **{**FORM, **fields})

    tried = await send(rev, "trial")
    refused = [await send(vi, "trial"), await send(vi, "publish", target="live")]
    wrong = [
        await send(rev, "publish", target="live", velocity="card"),
        await send(rev, "publish", target="live", flag_at="nan"),
        await send(rev, "publish", target="live", amount_orders="1.5"),
        await send(rev, "publish", target="elsewhere"),
        await send(rev, "trial", days="0"),
    ]
    assert await mesh.last(FraudRulesPublished, "live") is None
    first = await send(rev, "publish", target="live", note="a wave of stolen cards")
    late = await send(rev, "publish", target="live")
    shadow = await send(rev, "publish", target="shadow", **{"live-revision": "1"})
    ended = await send(rev, "publish", target="no-shadow", **{"shadow-revision": "1"})

    assert (tried.status_code, "1 of 2" in tried.text, "2 orders of one card in 1h" in tried.text) == (200, True, True)
    assert [one.status_code for one in (*refused, *wrong)] == [403] * 2 + [422] * 5
    assert [one.status_code for one in (first, late, shadow, ended)] == [303, 409, 303, 303]
    live = (await mesh.last(FraudRulesPublished, "live")).event
    assert (live.rules.velocity, live.rules.amount_factor, live.note) == (
        ("card/1h>1=100",),
        2.5,
        "a wave of stolen cards",
    )
    assert (live.rules.model_at, live.rules.model_weight) == (0.75, 40)
    assert (await mesh.last(FraudRulesPublished, "shadow")).event.rules is None
    page = (await vi.get("/fraud/rules")).text
    assert ("a wave of stolen cards" in page, "Publish in shadow" in page) == (True, False)


async def test_a_flagged_payment_is_approved_or_refused(start, mesh, staff, eventually):
    """Its checkout goes on, or is undone; what it was is known from then on, and who decided is on record."""
    port = await start(checkout.service, review.service)
    for order in ("good", "bad"):
        await parked(mesh, order, eventually)
    vi, rev = await staff(mesh, port, "viewer"), await staff(mesh, port, "reviewer")

    queue = (await rev.get("/fraud")).text
    refused = await vi.send("/fraud/good/approve", page="/fraud")
    approved = await rev.send("/fraud/good/approve", page="/fraud")
    undone = await rev.send("/fraud/bad/refuse", page="/fraud")
    await eventually(lambda: _step(mesh, "good", "authorise"))
    await eventually(lambda: _step(mesh, "bad", "release"))
    late = await rev.send("/fraud/bad/approve", page="/fraud")
    unknown = await rev.send("/fraud/bad/shrug", page="/fraud")

    assert ("/fraud/good/approve" in queue, "7 orders of one card in 1m" in queue) == (True, True)
    answers = [one.status_code for one in (refused, approved, undone, late, unknown)]
    assert answers == [403, 303, 303, 409, 404]
    assert await eventually(lambda: labels(mesh, 2)) == {"good": "legitimate", "bad": "fraud"}
    changed = [one.event async for one in mesh.read(ConsoleChanged)]
    assert [(one.subject, one.details["verdict"]) for one in changed] == [("good", "approve"), ("bad", "refuse")]


async def test_every_decision_about_a_flagged_payment_is_a_label(start, mesh, eventually):
    """Wherever it was made, and also where nobody who labels was running then; other decisions are none."""
    await start(checkout.service)
    for order in ("accepted", "undone", "again"):
        await parked(mesh, order, eventually)

    for order, decision in (("accepted", "accept"), ("undone", "undo"), ("again", "again")):
        question = Resume(order_id=order, decision=decision, author="ada")
        assert (await mesh.ask("checkout", "resume", question, Resumed)).refused is None
    await mesh.publish(CheckoutResumed(order_id="unflagged", decision="accept", step="check"))
    await mesh.publish(CheckoutResumed(order_id="accepted", decision="undo", step="authorise"))
    await start(review.service)

    assert await eventually(lambda: labels(mesh, 2)) == {"accepted": "legitimate", "undone": "fraud"}
    await mesh.publish(CheckoutResumed(order_id="again", decision="undo", step="check"))  # the last of all
    known = await eventually(lambda: labels(mesh, 3))
    assert known == {"accepted": "legitimate", "undone": "fraud", "again": "fraud"}
    first = (await mesh.last(FraudLabelled, "accepted")).event
    assert (first.source, first.author) == ("review", "ada")


async def labels(mesh, count):
    """The newest label of each order, once there are so many."""
    found = {one.event.order_id: one.event.label async for one in mesh.read(FraudLabelled)}
    return found if len(found) >= count else None


async def test_a_chargeback_is_a_label(start, mesh, staff):
    """Of an order that was checked; whatever a review had said before."""
    port = await start(review.service)
    rev = await staff(mesh, port, "reviewer")
    await mesh.publish(check("o1"), label("o1", "legitimate"))

    answers = [await rev.send("/fraud/chargebacks", page="/fraud", order=one) for one in ("o1", "o9", "")]

    assert [one.status_code for one in answers] == [303, 422, 422]
    newest = (await mesh.last(FraudLabelled, "o1")).event
    assert (newest.label, newest.source) == ("fraud", "chargeback")
    assert "does not answer" in (await rev.get("/fraud")).text


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [(("fraudulent",), ["fraud", "legitimate"]), (("product_not_received", "unrecognized"), ["fraud", "legitimate"])],
)
async def test_a_dispute_about_fraud_is_a_label_until_it_is_won(start, mesh, eventually, reasons, expected):
    """In whatever order its events are handled; a dispute about something else says nothing of fraud."""
    await start(review.service)
    other = Chargeback(dispute_id="dp_0", amount=TOTAL, reason="product_not_received")
    claims = [Chargeback(dispute_id=f"dp_{at}", amount=TOTAL, reason=reason) for at, reason in enumerate(reasons, 1)]
    won = [msgspec.structs.replace(one, won=True) for one in claims]

    async def newest(label):
        found = await mesh.last(FraudLabelled, "o1")
        return found is not None and (found.event.label, found.event.source) == (label, "chargeback")

    await mesh.publish(disputed(PaymentChargedBack, other, order="o0"))
    await mesh.publish(disputed(PaymentChargedBack, *claims))
    await eventually(lambda: newest(expected[0]))
    await mesh.publish(disputed(PaymentChargebackReversed, *won))
    await eventually(lambda: newest(expected[1]))

    assert await mesh.last(FraudLabelled, "o0") is None


async def test_of_a_disputes_events_the_newest_decides_the_label(start, mesh, eventually):
    """A loss that is handled after the win, which was stored before, does not bring the label of the loss back."""
    claim = Chargeback(dispute_id="dp_1", amount=TOTAL, reason="fraudulent")
    lost, won = (
        disputed(PaymentChargedBack, claim),
        disputed(PaymentChargebackReversed, msgspec.structs.replace(claim, won=True)),
    )
    await mesh.publish(lost)
    await mesh.publish(won)
    stored = [await mesh.last(kind, "o1") for kind in (PaymentChargebackReversed, PaymentChargedBack)]

    labels = [(await anext(review.label_charged_back_order(event, mesh))).label for event in stored]

    assert labels == ["legitimate", "legitimate"]


def disputed(kind, *chargebacks, order="o1"):
    """What a bank took back of a payment, or gave back."""
    zero = Money(amount=0, currency="EUR")
    state = PaymentState(
        provider="sandbox", authorised=TOTAL, captured=TOTAL, released=zero, refunded=zero, chargebacks=chargebacks
    )
    named = {"dispute_id": chargebacks[-1].dispute_id, "amount": TOTAL, "reason": chargebacks[-1].reason}
    return kind(payment_id=order, order_id=order, payment=state, **named)


async def parked(mesh, order, eventually):
    command = Command(key=order, body="b")
    await mesh.publish(OrderCreated(order_id=order, lines=(), total=TOTAL, payment_method="tok", command=command))
    await eventually(lambda: _step(mesh, order, "reserve"))
    reserved = StockReservationChanged(
        order_id=order, outcome="reserved", lines=(), taken=(), answers="r", request_sequence=1
    )
    reasons = ("7 orders of one card in 1m",)
    await mesh.publish(reserved)
    await eventually(lambda: _step(mesh, order, "check"))
    await mesh.publish(PaymentFlagged(order_id=order, score=120, rules=("card",), reasons=reasons, answers="r"))

    async def is_parked():
        return (await mesh.last(CheckoutAdvanced, order)).event.parked

    await eventually(is_parked)


async def _step(mesh, order, step):
    last = await mesh.last(CheckoutAdvanced, order)
    return last is not None and last.event.step == step
