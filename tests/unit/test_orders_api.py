"""Orders over HTTP: taken once, changed while it is possible, refused with a clear reason."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from litestar.testing import AsyncTestClient

from mesh import Money
from mesh.events.order import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmationRequested,
    OrderConfirmed,
    OrderCreated,
    OrderDeliveryAddressed,
    OrderPlaced,
    PurchaseMarked,
)
from mesh.events.product import ProductListed
from mesh.events.profile import ProfileErasureRequested
from mesh.events.shipment import ShipmentDispatched, ShipmentRequested
from mesh.profiles import digests_of, names_of
from mesh.runtime.run import running
from services.checkout.saga import begun
from services.checkout.steps import CheckoutSettings, check_for_fraud, table
from services.orders import service
from services.orders.app import build as app
from services.orders.write import Writer

KEY = {"Authorization": "Bearer the-shop-server-key"}
TEA = Money(amount=1299, currency="EUR")
ORDER = {
    "lines": [{"product_id": "tea", "quantity": 2, "price": {"amount": 1299, "currency": "EUR"}}],
    "payment_method": "tok_visa",
    "visitor_id": "v1",
    "customer_id": "k1",
    "address": {"name": "Ada", "street": "1 Main St", "postal_code": "10115", "city": "Berlin", "country": "DE"},
}


@pytest.fixture
async def client(mesh, monkeypatch):
    """The interface of orders over a region in memory, whose catalogue has tea and cups."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", "the-shop-server-key,another-server-key")
    for product in (
        ProductListed(product_id="tea", price=TEA),
        ProductListed(product_id="cup", price=Money(amount=500, currency="EUR")),
        ProductListed(product_id="mug", price=Money(amount=700, currency="USD")),
        ProductListed(product_id="old", price=TEA, available=False),
        ProductListed(product_id="gift"),
    ):
        await mesh.publish(product)
    async with AsyncTestClient(app(mesh, Writer(mesh))) as client:
        yield client


async def ordered(client, key="k-1", headers=None, **changes):
    return await client.post(
        "/v1/orders", json=ORDER | changes, headers=KEY | {"Idempotency-Key": key} | (headers or {})
    )


async def created(client, **changes):
    answer = await ordered(client, **changes)
    assert answer.status_code == 201, answer.text
    return answer.json()["order"]["order_id"]


async def cancelled(client, order_id, key="c-1", **body):
    return await client.post(f"/v1/orders/{order_id}/cancellation", json=body, headers=KEY | {"Idempotency-Key": key})


async def readdressed(client, order_id, address, key="m-1"):
    return await client.put(f"/v1/orders/{order_id}/address", json=address, headers=KEY | {"Idempotency-Key": key})


async def dispatched(mesh, order_id):
    await mesh.publish(ShipmentRequested(order_id=order_id, lines=()))
    await mesh.publish(ShipmentDispatched(order_id=order_id))


async def test_an_order_is_stored_with_all_that_stops_offers(client, mesh):
    """It is placed and marked under each name of its shopper in one commit, at the catalogue's prices."""
    answer = await ordered(client)

    order = answer.json()["order"]
    created = await mesh.last(OrderCreated, order["order_id"])
    placed = await mesh.last(OrderPlaced, order["order_id"])
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/orders/{order['order_id']}")
    assert (order["status"], order["total"]) == ("created", {"amount": 2598, "currency": "EUR"})
    assert (created.event.total, placed.event.by) == (TEA * 2, "server")
    for name in digests_of("v1", "k1"):
        assert (await mesh.last(PurchaseMarked, name)).event.bought == {"tea": 2}


async def test_an_order_waits_for_three_things_one_after_the_other(client, mesh, monkeypatch):
    """All that is read with the key of the address, the address, and the order: each may take a while on three servers.

    What is begun only once something else has come back is one more; the others do not wait for each other.
    """
    begun, rounds = 0, []

    def counted(name):
        call = getattr(mesh.broker, name)

        async def wait(*asked, **more):
            nonlocal begun
            mine = begun
            for _ in range(20):  # whatever can be begun meanwhile is
                await asyncio.sleep(0)
            made = await call(*asked, **more)
            rounds.append((mine, name))
            begun = max(begun, mine + 1)
            return made

        monkeypatch.setattr(mesh.broker, name, wait)

    for name in ("last", "read_few", "kv_get", "kv_put", "store_each", "store_batch"):
        counted(name)

    await created(client)

    assert set(rounds) == {(0, "last"), (0, "kv_put"), (1, "store_each"), (2, "store_batch")}


async def test_a_refused_order_leaves_no_address(client, mesh):
    """The key that was made for it encrypts nothing."""
    refused = await ordered(client, lines=[{"product_id": "unknown", "quantity": 1}])
    taken = await created(client)

    assert refused.status_code == 422
    assert [one.event.order_id async for one in mesh.read(OrderDeliveryAddressed)] == [taken]


async def test_a_fraud_check_gets_digests_of_a_buyer_and_no_address(client, mesh):
    """Keyed ones, the same for an address however it is written; the account's age is what the shop says."""
    abroad = {"name": "A. L.", "street": "Rue 1", "postal_code": "75001", "city": "Paris", "country": "FR"}
    loud = ORDER["address"] | {"street": "1 MAIN ST.", "email": "ADA@example.com"}
    await ordered(client, "k-1", address=ORDER["address"] | {"email": "ada@example.com"}, billing=abroad)
    await ordered(client, "k-2", address=loud, account_created="2026-05-01T12:00:00Z")
    await ordered(client, "k-3", address=None)

    bare = await ordered(client, "k-4", account_created="2026-05-01T12:00:00")
    created = [one.event async for one in mesh.read(OrderCreated)]
    first, second, third = (one.buyer for one in created)
    stored = [message.body async for message in mesh.broker.read(mesh.commerce, ["ev.us.order.created.>"])]

    assert (first.email, first.address) == (second.email, second.address)
    assert first.billing_address not in (None, first.address)
    assert (first.delivery_country, first.billing_country) == ("DE", "FR")
    assert second.billing_address == second.address
    assert (second.account_created.year, third, bare.status_code) == (2026, None, 422)
    assert not any(word in body for body in stored for word in (b"ada@", b"ADA@", b"Main", b"MAIN", b"Rue", b"Paris"))
    asked = check_for_fraud(begun(created[0], table(CheckoutSettings())))
    facts = (asked.email, asked.address, asked.billing_address, asked.billing_country, asked.delivery_country)
    assert facts == (first.email, first.address, first.billing_address, "FR", "DE")


async def test_a_replayed_order_changes_nothing(client, mesh):
    """The same key and body are answered with the same order, also when both come at once."""
    first, *rest = await asyncio.gather(*(ordered(client) for _ in range(4)))

    ids = {answer.json()["order"]["order_id"] for answer in (first, *rest)}
    stored = [one async for one in mesh.read(OrderCreated)]
    assert (len(ids), len(stored)) == (1, 1)
    assert sorted(answer.status_code for answer in (first, *rest)) == [200, 200, 200, 201]


async def test_a_key_with_another_body_is_refused(client, mesh):
    """It is a conflict: nobody knows which of the two orders was meant. A key is its sender's own."""
    await ordered(client)

    other = await ordered(client, payment_method="tok_other")
    elsewhere = await ordered(
        client, payment_method="tok_other", headers={"Authorization": "Bearer another-server-key"}
    )

    assert (other.status_code, other.headers["content-type"]) == (409, "application/problem+json")
    assert elsewhere.status_code == 201
    assert len([one async for one in mesh.read(OrderCreated)]) == 2


async def test_an_order_is_charged_in_the_currency_that_the_shopper_saw(client, mesh):
    """At the catalogue's price in it; where nothing was shown, in the catalogue's first currency."""
    yen = Money(amount=2100, currency="JPY")
    await mesh.publish(ProductListed(product_id="tea", price=TEA, prices=(Money(amount=1500, currency="USD"), yen)))
    lines = [{"product_id": "tea", "quantity": 2}]

    shown = await created(client, key="1", lines=lines, total={"amount": 4200, "currency": "JPY"})
    priced = await created(client, key="2", lines=[lines[0] | {"price": {"amount": 2100, "currency": "JPY"}}])
    plain = await created(client, key="3", lines=lines)

    totals = [(await mesh.last(OrderCreated, one)).event.total for one in (shown, priced, plain)]
    assert totals == [yen * 2, yen * 2, TEA * 2]


async def test_a_discount_is_taken_off_each_price(client, mesh):
    """So that pieces that are cancelled or returned cost what was charged for them; the order names the coupon."""
    order_id = await created(client, coupon="HELLO", discount_percent=10, total={"amount": 2338, "currency": "EUR"})

    order = (await mesh.last(OrderCreated, order_id)).event
    placed = (await mesh.last(OrderPlaced, order_id)).event
    assert (order.lines[0].price.amount, order.total.amount, order.coupon) == (1169, 2338, "HELLO")
    assert (placed.total, placed.coupon) == (order.total, "HELLO")


LINE = ORDER["lines"][0]
EURO, DOLLAR = {"amount": 1299, "currency": "EUR"}, {"amount": 700, "currency": "USD"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lines": []}, "at least one line"),
        ({"discount_percent": 101}, "$.discount_percent"),
        ({"discount_percent": 10, "total": EURO | {"amount": 2598}}, "it is 23.38 EUR, not 25.98 EUR"),
        ({"lines": [{"product_id": "tea", "quantity": 1}], "total": DOLLAR}, "it is 12.99 EUR, not 7.00 USD"),
        ({"lines": [LINE] * 10_000}, "at most 200 lines, not 10000"),
        ({"lines": [LINE | {"quantity": -1}]}, "$.lines[0].quantity"),
        ({"lines": [LINE | {"quantity": 0}]}, "$.lines[0].quantity"),
        ({"lines": [LINE | {"quantity": 1.5}]}, "$.lines[0].quantity"),
        ({"lines": [LINE | {"quantity": 900}, LINE | {"quantity": 900}]}, "at most 1000 pieces"),
        ({"lines": [{"product_id": "nothing", "quantity": 1}]}, "the catalogue has no product nothing"),
        ({"lines": [{"product_id": "a.b", "quantity": 1}]}, "$.lines[0].product_id"),
        ({"lines": [{"product_id": "old", "quantity": 1}]}, "old cannot be bought now"),
        ({"lines": [{"product_id": "gift", "quantity": 1}]}, "no price of gift"),
        ({"lines": [LINE | {"price": EURO | {"amount": 1}}]}, "price of tea is 12.99 EUR, not 0.01 EUR"),
        ({"total": EURO}, "by the catalogue it is 25.98 EUR, not 12.99 EUR"),
        ({"lines": [LINE, {"product_id": "mug", "quantity": 1}]}, "one currency, not EUR and USD"),
        ({"lines": [LINE, {"product_id": "mug", "quantity": 1, "price": DOLLAR}]}, "one currency, not EUR and USD"),
        ({"visitor_id": None, "customer_id": None}, "say who orders"),
        ({"address": {"name": "Ada"}}, "$.address"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_order_is_refused_with_its_reason(client, mesh, changes, words):
    """What is wrong stands in the answer, and nothing is stored."""
    answer = await ordered(client, **changes)

    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert words in answer.json()["detail"]
    assert [one async for one in mesh.read(OrderCreated)] == []


async def test_only_the_shops_servers_order(client):
    """A page's key, another one or none is refused, as is a request without an Idempotency-Key or without JSON."""
    for headers in ({}, {"Authorization": "Bearer demo"}, {"Authorization": "Basic the-shop-server-key"}):
        answer = await client.post("/v1/orders", json=ORDER, headers={"Idempotency-Key": "k"} | headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")

    assert (await client.post("/v1/orders", json=ORDER, headers=KEY)).status_code == 400
    noise = await client.post("/v1/orders", content=b"{", headers=KEY | {"Idempotency-Key": "k"})
    assert (noise.status_code, "the body must be JSON" in noise.json()["detail"]) == (400, True)


async def test_an_order_is_cancelled_whole_and_once(client, mesh):
    """Cancelling again changes nothing, with whatever key."""
    order_id = await created(client)

    answers = [await cancelled(client, order_id, key=key, reason="changed my mind") for key in ("a", "a", "b")]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert {answer.json()["order"]["status"] for answer in answers} == {"cancelled"}
    (event,) = await mesh.all_of(OrderCancelled, order_id)
    assert (event.event.amount, event.event.left, event.event.by) == (TEA * 2, (), "customer")


async def test_pieces_are_cancelled_until_none_is_left(client, mesh):
    """Each event says what is left; of more pieces than there are nothing is cancelled."""
    order_id = await created(client, lines=[LINE, {"product_id": "cup", "quantity": 1}])

    first = await cancelled(client, order_id, key="1", lines=[{"product_id": "tea", "quantity": 1}])
    too_many = await cancelled(client, order_id, key="2", lines=[{"product_id": "tea", "quantity": 2}])
    foreign = await cancelled(client, order_id, key="3", lines=[{"product_id": "mug", "quantity": 1}])
    rest = [{"product_id": "tea", "quantity": 1}, {"product_id": "cup", "quantity": 1}]
    last = await cancelled(client, order_id, key="4", lines=rest)

    assert first.json()["order"]["total"] == {"amount": 1799, "currency": "EUR"}
    assert [(one.status_code, "pieces of" in one.json()["detail"]) for one in (too_many, foreign)] == [(422, True)] * 2
    assert last.json()["order"]["status"] == "cancelled"
    assert [one.event.amount.amount for one in await mesh.all_of(OrderCancelled, order_id)] == [1299, 1799]


async def test_two_partial_cancellations_at_once_are_both_counted(client, mesh):
    """The second is decided again on what the first has left: no piece is cancelled twice."""
    order_id = await created(client)
    one_piece = [{"product_id": "tea", "quantity": 1}]

    answers = await asyncio.gather(*(cancelled(client, order_id, key=str(at), lines=one_piece) for at in range(3)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 409]
    assert (await mesh.last(OrderCancelled, order_id)).event.left == ()


async def test_what_was_handed_to_shipping_is_not_cancelled(client, mesh):
    """Neither is its address changed; both are a conflict that says what can be done instead."""
    order_id = await created(client)
    await mesh.publish(ShipmentRequested(order_id=order_id, lines=()))

    late = await cancelled(client, order_id)
    moved = await client.put(
        f"/v1/orders/{order_id}/address", json=ORDER["address"], headers=KEY | {"Idempotency-Key": "m"}
    )

    assert (late.status_code, "returned" in late.json()["detail"]) == (409, True)
    assert (moved.status_code, "address" in moved.json()["detail"]) == (409, True)


async def test_the_address_stays_in_the_region_and_can_be_changed(client, mesh):
    """The order names it by an id; the fields are stored encrypted in the personal stream."""
    order_id = await created(client)
    new = ORDER["address"] | {"street": "2 Side St"}

    answer = await readdressed(client, order_id, new)

    named = answer.json()["order"]["address_id"]
    kept = {one.event.address_id: one.event.street for one in (await mesh.history(order_id, OrderDeliveryAddressed))}
    raw = [one async for one in mesh.broker.read("PERSONAL_us", ["pii.us.order.>"])]
    assert kept == {order_id: "1 Main St", named: "2 Side St"}
    assert not any(b"Main St" in one.body or b"Side St" in one.body for one in raw)


async def test_a_buyers_number_is_kept_encrypted_and_is_one_that_there_can_be(client, mesh):
    """As networks write it, so that a text about the order reaches it; anything else is refused before it is stored."""
    address = ORDER["address"] | {"phone": "+4915112345678"}
    order_id = await created(client, address=address)
    wrong = await ordered(client, "k-2", address=ORDER["address"] | {"phone": "0151 12345678"})
    stored = (await mesh.history(order_id, OrderDeliveryAddressed)).events[0]

    assert stored.event.phone == "+4915112345678"
    raw = [one.body async for one in mesh.broker.read("PERSONAL_us", ["pii.us.order.>"])]
    assert (len(raw), [body for body in raw if b"15112345678" in body]) == (1, [])
    assert (wrong.status_code, "$.address.phone" in wrong.text) == (422, True)


async def test_the_address_of_an_order_is_erased_with_its_shopper(client, mesh, eventually):
    """By any of the shopper's names; the order stays, and strangers' addresses do."""
    mine = await created(client)
    other = await created(client, key="k-2", visitor_id="v2", customer_id="k2")
    customer = await created(client, key="k-3", visitor_id=None)
    await mesh.publish(ProfileErasureRequested(request="r1", visitors=("v1",), names=names_of("k1")))

    async def street(order_id):
        history = await mesh.history(order_id, OrderDeliveryAddressed)
        return history.last(OrderDeliveryAddressed).event.street

    async def erased():
        return [await street(mine), await street(customer)] == [None, None]

    async with running(service, mesh):
        await eventually(erased)

    assert await street(other) == "1 Main St"
    assert (await mesh.last(OrderCreated, mine)).event.address_id == mine


async def test_what_was_dispatched_can_come_back(client, mesh):
    """Each piece once, and not before it was dispatched."""
    order_id = await created(client)
    headers, body = KEY | {"Idempotency-Key": "r1"}, {"lines": [{"product_id": "tea", "quantity": 1}]}
    early = await client.post(f"/v1/orders/{order_id}/returns", json=body, headers=headers)
    await dispatched(mesh, order_id)

    first = await client.post(f"/v1/orders/{order_id}/returns", json=body, headers=headers)
    again = await client.post(f"/v1/orders/{order_id}/returns", json=body, headers=headers)
    other = {"lines": [{"product_id": "tea", "quantity": 2}]}
    reused = await client.post(f"/v1/orders/{order_id}/returns", json=other, headers=headers)
    more = await client.post(f"/v1/orders/{order_id}/returns", json=other, headers=KEY | {"Idempotency-Key": "r2"})

    assert [one.status_code for one in (early, first, again, reused, more)] == [409, 200, 200, 409, 422]
    assert again.json()["order"]["returned_total"] == {"amount": 1299, "currency": "EUR"}


async def test_a_history_shows_the_order_as_it_was_at_a_time(client, mesh):
    """All events with their places; with `at` only what had been stored by then."""
    order_id = await created(client)
    before = (await mesh.last(OrderCreated, order_id)).stored
    await cancelled(client, order_id)

    whole = (await client.get(f"/v1/orders/{order_id}/history", headers=KEY)).json()
    then = (await client.get(f"/v1/orders/{order_id}/history", params={"at": before.isoformat()}, headers=KEY)).json()
    earlier = (before - timedelta(days=1)).isoformat()
    never = (await client.get(f"/v1/orders/{order_id}/history", params={"at": earlier}, headers=KEY)).json()

    assert [one["type"] for one in whole["events"]] == ["order.created.v1", "order.cancelled.v1"]
    assert [one["order"]["status"] for one in (whole, then, never)] == ["cancelled", "created", "unknown"]
    assert datetime.fromisoformat(whole["events"][0]["time"]) <= datetime.now(UTC)


async def test_an_order_that_there_is_not_is_not_found(client):
    """Neither for a command nor for its history; an impossible id is a wrong request."""
    assert (await cancelled(client, "nothing")).status_code == 404
    assert (await client.get("/v1/orders/nothing/history", headers=KEY)).status_code == 404
    assert (await client.get("/v1/orders/a.b/history", headers=KEY)).status_code == 400
    assert (await client.get("/v1/orders/nothing/history")).status_code == 401


async def test_an_order_is_confirmed_once_and_not_after_it_was_cancelled(client, mesh, regions, eventually):
    """What the checkout asks for is decided by the order's own history."""
    kept, gone, unfinished = [await created(client, key=key) for key in ("1", "2", "3")]
    await cancelled(client, gone)
    for order_id in (kept, kept, gone):
        await mesh.publish(OrderConfirmationRequested(order_id=order_id))
    await mesh.publish(OrderCancellationRequested(order_id=unfinished, reason="declined"))
    await mesh.publish(OrderCancellationRequested(order_id=gone, reason="declined"))

    async with running(service, mesh):
        await eventually(lambda: mesh.last(OrderConfirmed, kept))
        await eventually(lambda: mesh.last(OrderCancelled, unfinished))
        await eventually(lambda: _consumed(mesh))

    assert len(await mesh.all_of(OrderConfirmed, kept)) == 1
    assert await mesh.last(OrderConfirmed, gone) is None
    assert [one.event.by for one in await mesh.all_of(OrderCancelled, gone)] == ["customer"]
    assert (await mesh.last(OrderCancelled, unfinished)).event.reason == "declined"


async def _consumed(mesh):
    names = [binding.durable for binding in service.bindings]
    states = await mesh.broker.consumer_states(mesh.commerce, names)
    return all(not state.pending and not state.ack_pending for state in states.values())
