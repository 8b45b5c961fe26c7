"""The adapter for Stripe against localstripe, an independent stand-in for Stripe's API, and against Stripe's webhooks.

localstripe knows no idempotency keys, and of a payment's webhooks only `succeeded` and `payment_failed`: keys are
tested with the sandbox, and the other webhooks with bodies as Stripe's API reference has them.
"""

import json
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mesh import Money
from mesh.runtime.ports import free_ports
from mesh.runtime.process import Process
from mesh.web.http_client import ByHttpx, HttpClient
from services.payments.http import ProviderHttp
from services.payments.provider import Authorisation, OutcomeUnknown, RequestRefused
from services.payments.stripe import Stripe

METADATA = {"payment_id": "p1", "order_id": "o1", "region": "us"}
INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 4200,
    "amount_received": 0,
    "currency": "eur",
    "created": 1_777_777_777,
    "latest_charge": "ch_1",
    "metadata": METADATA,
    "status": "requires_capture",
}
CHARGE = {
    "id": "ch_1",
    "object": "charge",
    "amount": 4200,
    "amount_captured": 4200,
    "amount_refunded": 0,
    "captured": True,
    "currency": "eur",
    "created": 1_777_777_777,
    "metadata": METADATA,
    "payment_intent": "pi_1",
    "status": "succeeded",
}


def dispute(charge, status="needs_response"):
    """As https://docs.stripe.com/api/disputes/object has it: it names the intent, and nothing of the shop's."""
    return {
        "id": "dp_1",
        "object": "dispute",
        "amount": 3000,
        "charge": "ch_1",
        "currency": "eur",
        "metadata": {},
        "payment_intent": charge.state.provider_id,
        "reason": "fraudulent",
        "status": status,
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory, uv):
    """The Python of an environment with localstripe as uv.lock says, and nothing else."""
    folder = tmp_path_factory.mktemp("localstripe") / "venv"
    options = ("--locked", "--only-group", "stripe", "--quiet", "--python", sys.executable)
    uv("sync", *options, UV_PROJECT_ENVIRONMENT=str(folder))
    return folder / "bin" / "python"


@asynccontextmanager
async def localstripe(python, tmp_path, eventually):
    (port,) = free_ports(1)
    command = [str(python), "-m", "localstripe", "--port", str(port), "--from-scratch"]
    process = await Process.start(command, log=tmp_path / "localstripe.log", environment={"HOME": str(tmp_path)})
    headers = {"Authorization": "Bearer sk_test_12345"}
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:

            async def answers():
                try:
                    return (await client.get("/v1/charges")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(answers)
            yield client
    finally:
        await process.end(20)


async def card(client, number="4242424242424242"):
    """A payment method of localstripe."""
    fields = {"number": number, "exp_month": "12", "exp_year": "2030", "cvc": "123"}
    data = {"type": "card", **{f"card[{name}]": value for name, value in fields.items()}}
    return (await client.post("/v1/payment_methods", data=data)).json()["id"]


def order(method, payment="p1", currency="EUR"):
    amount = Money(amount=4200, currency=currency)
    return Authorisation(payment_id=payment, order_id="o1", region="us", amount=amount, method=method)


def amounts(charge):
    state = charge.state
    return tuple(one.amount for one in (state.authorised, state.captured, state.released, state.refunded))


async def test_payments_at_an_independent_stand_in_of_stripe(installed, tmp_path, eventually):
    """Authorise, capture, refund in parts, void, decline, refuse; and the books list every charge."""
    began = datetime.now(UTC) - timedelta(minutes=1)
    async with localstripe(installed, tmp_path, eventually) as client:
        stripe = Stripe(ProviderHttp(HttpClient(ByHttpx(client)), timedelta(seconds=60)))
        method = await card(client)

        held = await stripe.authorise(order(method), "k1")
        charged = await stripe.capture(held.state.provider_id, Money(amount=4200, currency="EUR"), "k2")
        partly = await stripe.refund(held.state.provider_id, Money(amount=1200, currency="EUR"), "k3")
        other = await stripe.authorise(order(method, "p2"), "k4")
        voided = await stripe.void(other.state.provider_id, "k5")
        third = await stripe.authorise(order(method, "p3"), "k6")
        opened = await stripe.notice(event("charge.dispute.created", dispute(held)))
        won = await stripe.notice(event("charge.dispute.closed", dispute(held, status="won")))
        inquiry = await stripe.notice(event("charge.dispute.created", dispute(held, status="warning_needs_response")))
        with pytest.raises(RequestRefused):
            await stripe.notice(event("charge.dispute.created", {**dispute(held), "payment_intent": "pi_unknown"}))
        less = await stripe.capture(third.state.provider_id, Money(amount=3000, currency="EUR"), "k7")
        declined = await stripe.authorise(order(await card(client, "4000000000000341"), "p4"), "k8")
        asked = await stripe.authorise(order(await card(client, "4000002500003155"), "p6"), "k11")
        with pytest.raises(RequestRefused):
            await stripe.void(held.state.provider_id, "k9")
        with pytest.raises(RequestRefused):
            await stripe.authorise(order("pm_unknown", "p5"), "k10")
        until = datetime.now(UTC) + timedelta(minutes=1)
        books = {one.payment_id: amounts(one) async for one in stripe.charges(began, until)}

    assert (held.payment_id, held.order_id, held.region) == ("p1", "o1", "us")
    assert [amounts(one) for one in (held, charged, partly)] == [
        (4200, 0, 0, 0),
        (4200, 4200, 0, 0),
        (4200, 4200, 0, 1200),
    ]
    (chargeback,) = opened.charge.state.chargebacks
    assert (opened.charge.payment_id, amounts(opened.charge)) == ("p1", (4200, 4200, 0, 1200))
    assert (chargeback.dispute_id, chargeback.amount, chargeback.reason, chargeback.won) == (
        "dp_1",
        Money(amount=3000, currency="EUR"),
        "fraudulent",
        False,
    )
    assert ([one.won for one in won.charge.state.chargebacks], inquiry) == ([True], None)
    assert amounts(voided) == (4200, 0, 4200, 0)
    kept = less.state.captured.amount - less.state.refunded.amount
    assert (less.state.authorised.amount, kept) == (4200, 3000)  # localstripe books the rest as a refund
    assert (amounts(declined), declined.state.declined) == ((0, 0, 0, 0), "card_declined")
    assert (amounts(asked), asked.state.declined) == ((0, 0, 0, 0), "authentication_required")
    assert {one: books[one] for one in ("p1", "p2")} == {"p1": (4200, 4200, 0, 1200), "p2": (4200, 0, 4200, 0)}


def event(type_, thing):
    return json.dumps({"id": "evt_1", "object": "event", "type": type_, "data": {"object": thing}}).encode()


@pytest.mark.parametrize(
    ("type_", "thing", "expected"),
    [
        ("payment_intent.amount_capturable_updated", INTENT, (4200, 0, 0, 0)),
        ("payment_intent.succeeded", {**INTENT, "status": "succeeded", "amount_received": 4200}, (4200, 4200, 0, 0)),
        (
            "payment_intent.succeeded",
            {**INTENT, "status": "succeeded", "amount_received": 3000},
            (4200, 3000, 1200, 0),
        ),
        ("payment_intent.canceled", {**INTENT, "status": "canceled"}, (4200, 0, 4200, 0)),
        ("payment_intent.canceled", {**INTENT, "status": "canceled", "latest_charge": None}, (0, 0, 0, 0)),
        ("charge.captured", CHARGE, (4200, 4200, 0, 0)),
        ("charge.refunded", {**CHARGE, "amount_refunded": 700}, (4200, 4200, 0, 700)),
        ("charge.refunded", {**CHARGE, "amount_captured": 3000, "amount_refunded": 1700}, (4200, 3000, 1200, 500)),
        ("charge.refunded", {**CHARGE, "captured": False, "amount_refunded": 4200}, (4200, 0, 4200, 0)),
        ("charge.failed", {**CHARGE, "status": "failed", "captured": False}, (0, 0, 0, 0)),
    ],
)
async def test_a_webhook_of_stripe_says_what_the_payment_is(type_, thing, expected):
    """Intents and charges, whose it is from the metadata."""
    notice = await Stripe(None).notice(event(type_, thing))

    assert (
        notice.id,
        notice.charge.payment_id,
        notice.charge.region,
        notice.charge.state.provider_id,
    ) == ("evt_1", "p1", "us", "pi_1")
    assert expected == amounts(notice.charge)


async def test_what_is_not_about_our_payments_is_left_alone():
    """Another kind of event, or a payment that the shop takes otherwise."""
    stripe = Stripe(None)

    assert await stripe.notice(event("customer.created", {"object": "customer"})) is None
    assert await stripe.notice(event("charge.captured", {**CHARGE, "metadata": {}})) is None
    assert await stripe.notice(event("payment_intent.succeeded", {**INTENT, "metadata": {}})) is None
    for nonsense in (b"[]", b"{}", b'{"type": 1, "data": {}}', event("payment_intent.succeeded", None)):
        with pytest.raises(ValueError):
            await stripe.notice(nonsense)


async def test_a_card_that_asks_its_owner_and_a_currency_of_other_units_are_not_charged():
    """The first is declined with the reason; the second is refused before Stripe is asked."""
    asks = {**INTENT, "status": "requires_action", "latest_charge": None}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=asks))
    async with httpx.AsyncClient(base_url="http://stripe", transport=transport) as client:
        stripe = Stripe(ProviderHttp(HttpClient(ByHttpx(client)), timedelta(seconds=60)))

        charge = await stripe.authorise(order("pm_1"), "k")
        with pytest.raises(RequestRefused, match="ISK"):
            await stripe.authorise(order("pm_1", currency="ISK"), "k")

    assert (charge.state.declined, amounts(charge)) == ("authentication_required", (0, 0, 0, 0))


@pytest.mark.parametrize("status", [401, 409, 429, 500, 503])
async def test_an_answer_that_is_not_definite_is_an_unknown_outcome(status):
    """It is asked again with the same key, which goes with every call that moves money."""
    seen = []

    def answer(request):
        seen.append(request.headers["Idempotency-Key"])
        return httpx.Response(status, json={"error": {"code": "lock_timeout"}})

    async with httpx.AsyncClient(base_url="http://stripe", transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(OutcomeUnknown):
            await Stripe(ProviderHttp(HttpClient(ByHttpx(client)), timedelta(seconds=60))).authorise(
                order("pm_1"), "the key"
            )

    assert seen == ["the key"]
