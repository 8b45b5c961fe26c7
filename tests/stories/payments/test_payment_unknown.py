"""An outcome that is unknown is asked for again with the same key; what comes too late is given back."""

from datetime import timedelta

from mesh import Mesh, Money
from mesh.events.payment import PaymentAuthorisationRequested, PaymentVoidRequested
from mesh.web.http_client import ByHttpx, HttpClient
from services.payments import authorise_payment, steps, void_payment
from services.payments.asking import Asking
from services.payments.http import ProviderHttp
from services.payments.provider import Authorisation
from services.payments.sandbox import Sandbox


async def booked(shop, payment="p1"):
    """Wait until the provider has booked it."""

    async def known():
        return payment in await shop.books()

    await shop.eventually(known)


async def test_a_call_without_an_answer_is_asked_again_and_charges_once(shop):
    """The provider held the money and its answer was lost, in each step."""
    lost = {"unanswered": 1.0, "unanswered_s": 20, "webhooks_lost": True}
    await shop.faults(**lost)
    await shop.authorise()
    await booked(shop)

    assert await shop.names() == []

    await shop.faults(webhooks_lost=True)
    await shop.until("Authorised")
    await shop.faults(**lost)
    await shop.capture()

    async def charged():
        return (await shop.books())["p1"][1] == 4200

    await shop.eventually(charged)
    await shop.faults(webhooks_lost=True)
    await shop.until("Authorised", "Captured")

    assert await shop.books() == {"p1": (4200, 4200, 0, 0)}


async def test_a_refund_whose_webhook_comes_before_its_answer_counts_once(shop):
    """The request is answered under its key all the same, and is not refused for being above what is left."""
    await shop.authorise()
    await shop.until("Authorised")
    await shop.capture()
    await shop.until("Authorised", "Captured")
    await shop.faults(unanswered=1.0, unanswered_s=20)
    await shop.refund(key="r")
    await shop.until("Authorised", "Captured", "Refunded")
    await shop.faults()
    *_, by_webhook, by_answer = await shop.until("Authorised", "Captured", "Refunded", "Refunded")

    assert (by_webhook.answers, by_answer.answers) == (None, "r")
    assert await shop.books() == {"p1": (4200, 4200, 0, 4200)}


async def test_an_authorisation_that_comes_after_the_void_is_given_back(shop):
    """The void did not know of it; the answer to the same key finds the end, and undoes what it brings."""
    await shop.faults(unanswered=1.0, unanswered_s=20, webhooks_lost=True)
    await shop.authorise()
    await booked(shop)
    await shop.void()
    await shop.until("Voided")
    await shop.faults(webhooks_lost=True)
    await shop.until("Voided", "Authorised", "Voided")

    assert await shop.books() == {"p1": (4200, 0, 4200, 0)}


async def test_a_charge_that_a_webhook_reports_after_the_void_is_paid_back(shop):
    """Somebody captured it at the provider while the shop gave it up."""
    await shop.faults(unanswered=1.0, unanswered_s=20, webhooks_kept_back=100)
    await shop.authorise()
    await booked(shop)
    await shop.void()
    await shop.until("Voided")
    (charge,) = await shop.charges()
    await shop.faults(webhooks_lost=True)
    headers = {"Idempotency-Key": "by hand"}
    await shop.provider.post(f"/v1/charges/{charge['id']}/capture", json={"amount": 4200}, headers=headers)
    await shop.faults()

    async def paid_back():
        return (await shop.books())["p1"] == await shop.state() == (4200, 4200, 0, 4200)

    await shop.eventually(paid_back)


async def test_a_process_that_ends_between_answer_and_commit_charges_once(shop):
    """The next one asks with the same key, and is answered the same."""
    await shop.faults(refused=1.0)
    await shop.authorise()
    received = await shop.mesh.last(PaymentAuthorisationRequested, "p1")
    await shop.faults(webhooks_lost=True)
    ended = Asking(Sandbox(ProviderHttp(HttpClient(ByHttpx(shop.provider)), timedelta(seconds=60))))

    lost = [change async for change in authorise_payment(received, shop.mesh, ended)]
    (authorised,) = await shop.until("Authorised")

    assert lost[0].payment.provider_id == authorised.payment.provider_id
    assert await shop.books() == {"p1": (4200, 0, 0, 0)}


async def test_a_payment_voided_before_the_provider_was_asked_is_never_begun(shop):
    """Its card is not touched."""
    await shop.faults(refused=1.0)
    await shop.authorise(key="a")
    await shop.void(key="v")
    await shop.until("Voided")
    received = await shop.mesh.last(PaymentAuthorisationRequested, "p1")
    unasked = Asking(Sandbox(ProviderHttp(HttpClient(ByHttpx(shop.provider)), timedelta(seconds=60))))

    (failed, *_) = [change async for change in authorise_payment(received, shop.mesh, unasked)]

    assert (failed.step, failed.reason) == ("authorise", "the payment was voided before")
    assert await shop.books() == {}


async def test_what_the_provider_holds_and_nobody_asks_for_any_more_is_given_back(shop, monkeypatch):
    """In a region that was rebuilt: the request is in the log, its answer was lost, and nobody retries it."""
    eu = Mesh(shop.regions.broker("eu"), "tests", others=("us",))
    asked = {"payment_id": "p1", "order_id": "o-p1"}
    held = PaymentAuthorisationRequested(
        amount=Money(amount=4200, currency="EUR"), method="card_ok", idempotency_key="a", **asked
    )
    await eu.publish(held, PaymentVoidRequested(idempotency_key="v", **asked))
    sandbox = Sandbox(ProviderHttp(HttpClient(ByHttpx(shop.provider)), timedelta(seconds=60)))
    await sandbox.authorise(
        Authorisation(payment_id="p1", order_id="o-p1", region="eu", amount=held.amount, method="card_ok"), "a"
    )
    received = await eu.last(PaymentVoidRequested, "p1")
    monkeypatch.setattr(steps, "ASKED_WITHIN", timedelta(0))

    events = [change async for change in void_payment(received, eu, Asking(sandbox))]

    assert await shop.books() == {"p1": (4200, 0, 4200, 0)}
    assert [type(one).__name__ for one in events if hasattr(one, "payment")] == ["PaymentAuthorised", "PaymentVoided"]
    await eu.broker.drain()
