"""The payments page: one payment with its amounts, and where the provider's books differ from the orders."""

from datetime import UTC, datetime

from mesh.events.console import ConsoleChanged
from mesh.events.payment import PaymentDifference, PaymentReconciled


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
