"""The provider's books and the log of orders and payments are compared, and every difference is found."""

from datetime import UTC, datetime, timedelta

from mesh import Money
from mesh.events.cart import CartLine
from mesh.events.order import OrderConfirmed
from mesh.events.payment import PaymentReconciled
from mesh.web.http_client import ByHttpx, HttpClient
from services.payments import reconcile_daily
from services.payments.asking import Asking
from services.payments.http import ProviderHttp
from services.payments.reconciliation import Day
from services.payments.sandbox import Sandbox


def confirmed(order, amount=4200):
    total = Money(amount=amount, currency="EUR")
    line = CartLine(product_id="tea", quantity=1, price=total)
    return OrderConfirmed(order_id=order, lines=(line,), total=total, visitor_id="v")


async def compared(shop, day=None):
    """As the command asks it."""
    asked = Day(day=day or datetime.now(UTC).date())
    found = await shop.mesh.ask("payments", "reconcile-day", asked, PaymentReconciled, within=timedelta(seconds=60))
    return found.compared, sorted((one.kind, one.order_id) for one in found.differences), found


async def test_every_difference_between_books_and_log_is_found(shop):
    """A paid order is none; nor is a voided payment without an order, nor an order that is paid elsewhere."""
    for payment in ("paid", "void", "unordered", "changed"):
        await shop.authorise(payment)
        await shop.until("Authorised", payment=payment)
    for payment in ("paid", "unordered", "changed"):
        await shop.capture(payment)
        await shop.until("Authorised", "Captured", payment=payment)
    await shop.void("void")
    await shop.until("Authorised", "Voided", payment="void")
    await shop.authorise("uncharged", method="card_declined")
    await shop.until("Declined", payment="uncharged")
    await shop.mesh.publish(confirmed("o-paid"), confirmed("o-changed", 4000))
    await shop.mesh.publish(confirmed("elsewhere"))

    assert (await compared(shop))[:2] == (5, [("amounts_differ", "o-changed"), ("charge_without_order", "o-unordered")])

    await shop.faults(webhooks_lost=True)
    books = {one["reference"]: one["id"] for one in await shop.charges()}
    headers = {"Idempotency-Key": "by hand"}
    await shop.provider.post(f"/v1/charges/{books['paid']}/refund", json={"amount": 100}, headers=headers)
    body = {"reference": "x", "order": "o-x", "region": "us", "amount": 5, "currency": "EUR", "method": "card_ok"}
    await shop.provider.post("/v1/charges", json=body, headers={"Idempotency-Key": "nobody asked"})
    await shop.provider.post(
        "/v1/charges", json={**body, "region": "eu"}, headers={"Idempotency-Key": "of another region"}
    )
    count, kinds, found = await compared(shop)

    assert count == 6
    assert kinds == [
        ("amounts_differ", "o-changed"),
        ("amounts_differ", "o-paid"),
        ("amounts_differ", "o-x"),
        ("charge_without_order", "o-unordered"),
        ("charge_without_order", "o-x"),
    ]
    assert [one.detail for one in found.differences if one.order_id == "o-paid"] == [
        "refunded 100 in the books, 0 in the log"
    ]


async def test_an_order_that_nobody_was_charged_for_is_found(shop):
    """Its payment was declined, and it is confirmed all the same."""
    await shop.authorise("o1", method="card_declined")
    await shop.until("Declined", payment="o1")
    await shop.mesh.publish(confirmed("o1"))

    assert (await compared(shop))[1] == [("order_without_charge", "o1")]


async def test_each_day_is_compared_once_by_itself(shop):
    """After one in the morning (UTC), in the first hour in which the provider answers; by one of several replicas."""
    asking = Asking(Sandbox(ProviderHttp(HttpClient(ByHttpx(shop.provider)), timedelta(seconds=60))))
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = today + timedelta(days=1)
    await shop.authorise("left")
    await shop.until("Authorised", payment="left")

    async def tick(hour):
        return [one async for one in reconcile_daily(tomorrow + timedelta(hours=hour), shop.mesh, asking)]

    early, first, replica = await tick(0), await tick(1), await tick(1)
    await shop.mesh.publish(*first)
    later = await tick(2)

    assert (early, later) == ([], [])
    assert first == replica
    assert (str(today.date()), 1) == (first[0].day, first[0].compared)
    assert [one.kind for one in first[0].differences] == ["charge_without_order"]
