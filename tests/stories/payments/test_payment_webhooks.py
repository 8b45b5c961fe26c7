"""Webhooks count when the provider signed them just now, in any order and any number of times."""

import json
from collections import Counter
from itertools import permutations

import pytest

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.payment import PaymentAuthorisationRequested
from services.payments.fold import ANSWERS, fold
from services.payments.sandbox import Sandbox
from services.payments.webhooks import take

CHARGE = {
    "id": "ch_1",
    "reference": "p1",
    "order": "o-p1",
    "region": "us",
    "currency": "EUR",
    "created": "2026-05-01T12:00:00Z",
    "authorised": 4200,
    "captured": 0,
    "released": 0,
    "refunded": 0,
}
CAPTURED = {**CHARGE, "captured": 3000, "released": 1200}
DISPUTE = {"id": "dp_1", "amount": 3000, "reason": "fraudulent", "won": False}
DISPUTED = {**CAPTURED, "disputes": [DISPUTE]}
WON = {**CAPTURED, "disputes": [{**DISPUTE, "won": True}]}
TWICE = {**CAPTURED, "disputes": [{**DISPUTE, "won": True}, {**DISPUTE, "id": "dp_2", "amount": 500}]}
DISPUTES = [CHARGE, CAPTURED, DISPUTED, WON, TWICE]
LIFE = [CHARGE, CAPTURED, {**CAPTURED, "refunded": 500}, {**CAPTURED, "refunded": 3000}]
VOIDED = [CHARGE, {**CHARGE, "released": 4200}]
DECLINED = [{**CHARGE, "authorised": 0, "declined": "card_declined"}]


def webhook(charge, number=1):
    return {"id": f"evt_{number}", "type": "charge.updated", "charge": charge}


async def after(charges, regions=("us",)):
    """A payment's state and the names of its answers, once these webhooks came in this order."""
    broker = MemoryMesh(*regions).broker("us")
    mesh, sandbox = Mesh(broker, "payments"), Sandbox(None)
    asked = PaymentAuthorisationRequested(
        payment_id="p1", order_id="o-p1", amount=Money(amount=4200, currency="EUR"), method="m", idempotency_key="a"
    )
    await mesh.publish(asked)
    for charge in charges:
        number = [*LIFE, *DISPUTES].index(charge) if charge in [*LIFE, *DISPUTES] else 99
        await take(await sandbox.notice(json.dumps(webhook(charge, number)).encode()), sandbox, mesh)
    history = await mesh.history("p1", *ANSWERS)
    await broker.drain()
    return fold("p1", history), [type(one.event).__name__ for one in history]


async def test_all_permutations_of_a_payments_webhooks_end_alike():
    """Each of the 24 orders, and each with every webhook doubled: one state, and each step once."""
    expected, _ = await after(LIFE)
    ends = [await after(order) for order in permutations(LIFE)]
    doubled = [await after([one for one in order for _ in range(2)]) for order in permutations(LIFE)]
    again = [await after([*order, *reversed(order)]) for order in permutations(LIFE)]

    assert tuple(
        getattr(expected.state, name).amount for name in ("authorised", "captured", "released", "refunded")
    ) == (4200, 3000, 1200, 3000)
    for payment, names in [*ends, *doubled, *again]:
        assert expected == payment
        assert {name: names.count(name) for name in names if name != "PaymentRefunded"} == {
            "PaymentAuthorised": 1,
            "PaymentCaptured": 1,
        }
        assert 1 <= names.count("PaymentRefunded") <= 2


async def test_all_permutations_of_a_disputes_webhooks_end_alike():
    """A charge is disputed, that is won, and another part is disputed: in each of the 120 orders, once and doubled."""
    expected, _ = await after(DISPUTES)
    ends = [await after(order) for order in permutations(DISPUTES)]
    doubled = [await after([*order, *reversed(order)]) for order in permutations(DISPUTES)]

    assert (expected.kept, expected.state.charged_back) == (2500, 500)
    for payment, names in [*ends, *doubled]:
        assert expected == payment
        assert Counter(names) == {
            "PaymentAuthorised": 1,
            "PaymentCaptured": 1,
            "PaymentChargedBack": 2,
            "PaymentChargebackReversed": 1,
        }


@pytest.mark.parametrize("charges", [VOIDED, list(reversed(VOIDED))])
async def test_a_void_that_overtakes_its_authorisation_ends_the_same(charges):
    """Both steps are published, each once."""
    payment, names = await after(charges)

    assert names == ["PaymentAuthorised", "PaymentVoided"]
    assert (payment.held, payment.ended) == (0, True)


async def test_a_declined_payment_is_reported_once():
    """However often the webhook comes."""
    payment, names = await after(DECLINED * 3)

    assert (names, payment.state.declined) == (["PaymentDeclined"], "card_declined")


async def test_a_webhook_of_another_region_is_left_to_it():
    """Every region is sent every webhook."""
    _, names = await after([{**CHARGE, "region": "eu"}], regions=("us", "eu"))

    assert names == []


async def test_only_what_the_provider_signed_just_now_is_taken(shop):
    """Everything else is a problem that says why, and nothing is stored."""
    await shop.faults(webhooks_lost=True, refused=1.0)
    await shop.authorise()
    good = webhook(CHARGE)

    refused = [
        await shop.webhook(good, secret="whsec_of_somebody"),
        await shop.webhook(good, age=301),
        await shop.webhook(good, age=-3600),  # far enough ahead that a slow machine does not come near
        await shop.webhook(good, header="t=1"),
        await shop.webhook(b"\xff{"),
        await shop.webhook({"id": "evt_1"}),
        await shop.webhook({**good, "charge": {**CHARGE, "authorised": "a lot"}}),
    ]

    assert [one.status_code for one in refused] == [400] * 4 + [422] * 3
    assert {"application/problem+json"} == {one.headers["content-type"] for one in refused}
    assert "does not match" in refused[0].json()["detail"]
    assert "s old" in refused[1].json()["detail"]
    assert await shop.names() == []

    first, copy = await shop.webhook(good), await shop.webhook(good)

    assert [
        first.json(),
        copy.json(),
    ] == [{"stored": ["PaymentAuthorised"], "note": ""}, {"stored": [], "note": "known already"}]
    assert await shop.names() == ["Authorised"]


async def test_webhooks_in_another_currency_or_of_an_unknown_payment_change_nothing(shop):
    """The first is refused; the second is for the daily comparison with the books."""
    await shop.authorise()
    await shop.until("Authorised")
    (charge,) = await shop.charges()

    other = await shop.webhook(webhook({**CHARGE, "id": charge["id"], "captured": 4200, "currency": "USD"}))
    unknown = await shop.webhook(webhook({**CHARGE, "reference": "nobody"}))

    assert (
        other.status_code,
        unknown.status_code,
        unknown.json()["note"],
    ) == (422, 200, "nobody asked for this payment here")
    assert await shop.names() == ["Authorised"]
    assert await shop.names("nobody") == []


async def test_a_chargeback_leaves_nothing_to_pay_back_until_its_dispute_is_won(shop):
    """By the sandbox's own webhooks: a refund of what the bank took back is refused, and paid after the dispute."""
    await shop.authorise()
    await shop.until("Authorised")
    await shop.capture()
    await shop.until("Authorised", "Captured")
    (charge,) = await shop.charges()

    await shop.as_bank(charge["id"], "dispute", reason="fraudulent")
    await shop.until("Authorised", "Captured", "ChargedBack")
    await shop.refund(amount=100)
    (_, _, taken, refused) = await shop.until("Authorised", "Captured", "ChargedBack", "Failed")
    await shop.as_bank(charge["id"], "win")
    await shop.until("Authorised", "Captured", "ChargedBack", "Failed", "ChargebackReversed")
    await shop.refund(amount=100)
    *_, refunded = await shop.until("Authorised", "Captured", "ChargedBack", "Failed", "ChargebackReversed", "Refunded")

    assert (taken.amount.amount, taken.reason, taken.payment.charged_back) == (4200, "fraudulent", 4200)
    assert refused.reason == "100 EUR is above what is left of the charge, 0"
    assert (refunded.payment.refunded.amount, refunded.payment.charged_back) == (100, 0)


async def test_late_doubled_and_reordered_webhooks_of_the_provider_are_taken(shop):
    """The sandbox keeps six back, shuffles them and sends each three times: the log agrees with its books."""
    await shop.faults(webhooks_kept_back=5, webhooks_reordered=True, webhooks_doubled=2)
    for payment in ("p1", "p2"):
        await shop.authorise(payment)
        await shop.until("Authorised", payment=payment)
        await shop.capture(payment)
        await shop.until("Authorised", "Captured", payment=payment)
        await shop.refund(payment, amount=700)
        await shop.until("Authorised", "Captured", "Refunded", payment=payment)
    await shop.faults()

    async def agreed():
        return {one: await shop.state(one) for one in ("p1", "p2")} == await shop.books()

    await shop.eventually(agreed)
    assert ["Authorised", "Captured", "Refunded"] == await shop.names("p1") == await shop.names("p2")
