"""The payments page: the newest payments, one with its amounts, and where the books differ from the orders."""

from datetime import UTC, datetime

import pytest

from mesh import Money
from mesh.events.console import ConsoleChanged
from mesh.events.payment import Chargeback, PaymentDifference, PaymentReconciled, PaymentState
from services.payments import newest
from services.payments.fold import Payment


async def test_the_newest_payments_are_listed_by_how_they_stand(shop, staff, monkeypatch):
    """That which changed last first, however far back in the log that is; one without an answer waits."""
    monkeypatch.setattr(newest, "FIRST_LOOK", 1)
    await shop.authorise("charged")
    await shop.until("Authorised", payment="charged")
    await shop.capture("charged", amount=3000)
    await shop.until("Authorised", "Captured", payment="charged")
    await shop.authorise("declined", method="card_declined")
    await shop.until("Declined", payment="declined")
    await shop.authorise("held")
    await shop.until("Authorised", payment="held")
    await shop.refund("charged", amount=1000)
    await shop.until("Authorised", "Captured", "Refunded", payment="charged")
    await shop.faults(refused=1.0)
    await shop.authorise("waiting", amount=700)

    lines = await newest.newest_payments(shop.mesh, 50)
    (first,) = await newest.newest_payments(shop.mesh, 1)
    vi = await staff(shop.mesh, int(shop.url.rpartition(":")[2]), "viewer")
    page = (await vi.get("/payments")).text

    assert [(one.payment.payment_id, one.status, one.amount.amount) for one in lines] == [
        ("waiting", "waits for the provider", 700),
        ("charged", "partly paid back", 4200),
        ("held", "held", 4200),
        ("declined", "declined", 4200),
    ]
    assert first == lines[0]
    assert all(f'<a href="/payments/{one.payment.payment_id}">' in page for one in lines)


@pytest.mark.parametrize(
    ("amounts", "won", "expected"),
    [
        ((4200, 0, 0, 0), None, "held"),
        ((4200, 4200, 0, 0), None, "charged"),
        ((4200, 4200, 0, 4200), None, "paid back"),
        ((4200, 0, 4200, 0), None, "given back"),
        ((4200, 4200, 0, 0), False, "charged back"),
        ((4200, 4200, 0, 0), True, "charged"),
    ],
)
def test_a_payments_status_follows_from_its_amounts(amounts, won, expected):
    """And from its disputes."""
    authorised, captured, released, refunded = (Money(amount=one, currency="EUR") for one in amounts)
    claim = () if won is None else (Chargeback(dispute_id="dp_1", amount=captured, reason="fraudulent", won=won),)
    state = PaymentState(
        provider="sandbox",
        authorised=authorised,
        captured=captured,
        released=released,
        refunded=refunded,
        chargebacks=claim,
    )

    assert newest.status_of(Payment(payment_id="p1", state=state)) == expected


async def test_staff_see_payments_and_where_the_books_differ(shop, staff):
    """By order; a day is compared again by whoever has the role, with real books, and nobody else."""
    port = int(shop.url.rpartition(":")[2])
    await shop.authorise("unordered")
    await shop.until("Authorised", payment="unordered")
    known = PaymentDifference(kind="order_without_charge", detail="nothing is held", order_id="o-unpaid")
    await shop.mesh.publish(PaymentReconciled(day="2026-05-01", provider="sandbox", compared=3, differences=(known,)))
    vi, rev = await staff(shop.mesh, port, "viewer"), await staff(shop.mesh, port, "reviewer")
    today = str(datetime.now(UTC).date())

    listed = (await vi.get("/payments")).text
    one = await vi.get("/payments/unordered")
    refused = await vi.send("/payments/compare", page="/payments", day=today)
    compared = await rev.send("/payments/compare", page="/payments", day=today)
    wrong = await rev.send("/payments/compare", page="/payments", day="tomorrow")

    assert ("An order without a charge" in listed, "A charge without an order" in listed) == (True, False)
    assert ("42.00 EUR" in one.text, "authorisation requested" in one.text) == (True, True)
    assert (refused.status_code, compared.status_code, wrong.status_code) == (403, 200, 422)
    assert "A charge without an order" in compared.text
    assert (await vi.get("/payments/none")).status_code == 404
    assert (await vi.get("/payments?order=unordered")).headers["location"] == "/payments/unordered"
    changed = [found.event async for found in shop.mesh.read(ConsoleChanged)]
    assert [(found.action, found.subject, found.details) for found in changed] == [
        ("compare-books", today, {"differences": "1"})
    ]
