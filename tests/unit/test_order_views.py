"""The read side of orders: as they are, as of a change, in whatever order events come, and while it is rebuilt."""

import asyncio
import json
from datetime import timedelta
from itertools import permutations

import httpx
import pytest
from msgspec.structs import replace

from mesh import Mesh, Money, Received
from mesh.events.cart import CartLine
from mesh.events.order import (
    Command,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderedPieces,
    OrderReaddressed,
    OrderRefunded,
    OrderReturned,
)
from mesh.events.payment import Chargeback, PaymentChargebackReversed, PaymentChargedBack, PaymentState
from mesh.events.shipment import ShipmentDispatched, ShipmentRequested
from mesh.runtime.run import running
from services.orders.fold import OrderView, fold
from services.orders.views import ORDERS, service
from services.orders.views.app import build as app
from services.orders.views.index import OrderIndex, ViewSettings

KEY = {"Authorization": "Bearer the-shop-server-key"}
TEA = CartLine(product_id="tea", quantity=2, price=Money(amount=1299, currency="EUR"))


def euros(amount):
    return Money(amount=amount, currency="EUR")


def created(order_id="o1", customer_id="k1", **fields):
    return OrderCreated(
        order_id=order_id,
        lines=(TEA,),
        total=euros(2598),
        payment_method="tok_visa",
        command=Command(key=order_id, body="b"),
        customer_id=customer_id,
        **fields,
    )


def cancelled(order_id="o1"):
    return OrderCancelled(order_id=order_id, lines=(), amount=euros(2598), left=(), total=euros(0), by="customer")


def client_of(interface):
    """A client in the event loop of the test, in which the index is filled."""
    transport = httpx.ASGITransport(interface)
    return httpx.AsyncClient(transport=transport, base_url="http://orders", headers=KEY, timeout=120)


@pytest.fixture
async def reading(mesh, monkeypatch, eventually):
    """The read side at work: its index, and a client of its interface."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", "the-shop-server-key")
    monkeypatch.setenv("CARTMESH_ORDER_VIEWS_PATIENCE", "60s")
    views = Mesh(mesh.broker, "order-views")
    async with running(service, views) as run:
        index = run.provided[OrderIndex]
        await eventually(lambda: index.unready() is None)
        async with client_of(app(views, index)) as client:
            yield index, client


async def test_what_was_written_is_read_at_once_with_after(mesh, reading):
    """An order, and its customer's list, reflect at least the change whose sequence is named."""
    _, client = reading
    stored = (await mesh.publish(created()))[0].sequence
    shown = (await client.get("/v1/orders/o1", params={"after": stored})).json()["order"]
    changed = (await mesh.publish(cancelled()))[0].sequence

    after = (await client.get("/v1/orders/o1", params={"after": changed})).json()["order"]
    listed = (await client.get("/v1/customers/k1/orders", params={"after": changed})).json()["orders"]

    assert [shown["status"], after["status"]] == ["created", "cancelled"]
    assert [(one["order_id"], one["status"]) for one in listed] == [("o1", "cancelled")]
    assert "commands" not in shown


async def test_a_read_that_waits_in_vain_says_so(mesh, monkeypatch, eventually):
    """What is not reflected in time is 503 with Retry-After, never an older state."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", "the-shop-server-key")
    await mesh.publish(created())
    index = OrderIndex(mesh, ORDERS, ViewSettings(order_views_patience=timedelta(milliseconds=10)))
    async with client_of(app(mesh, index)) as client:
        answers = [
            await client.get(path, params={"after": 10_000}) for path in ("/v1/orders/o1", "/v1/customers/k1/orders")
        ]

    assert [(one.status_code, one.headers["retry-after"]) for one in answers] == [(503, "1")] * 2


async def test_orders_are_found_by_what_they_are(mesh, reading, eventually):
    """By status, product and the shop's own number, the newest first, and never those that were only reported."""
    index, client = reading
    for at in range(3):
        await mesh.publish(created(f"o{at}", customer_id=f"k{at}", reference=f"R-{at}"))
    await mesh.publish(cancelled("o1"))
    await mesh.publish(OrderConfirmed(order_id="reported", lines=(TEA,), total=euros(2598)))
    await eventually(lambda: len(index.search(lambda _: True, 10)) == 3)
    await eventually(lambda: index.search(lambda order: order.status == "cancelled", 10))
    await eventually(lambda: _caught_up(index))

    async def found(**query):
        answer = await client.get("/v1/orders", params=query)
        assert answer.headers["cartmesh-behind"] == "0"
        return [one["order_id"] for one in answer.json()["orders"]]

    assert await found() == ["o2", "o1", "o0"]
    assert await found(status="cancelled") == ["o1"]
    assert await found(product_id="tea", most=1) == ["o2"]
    assert await found(reference="R-0") == ["o0"]
    assert await found(since="2020-01-01T00:00:00", until="2021-01-01T00:00:00Z") == []
    assert (await client.get("/v1/orders/reported")).status_code == 404


async def test_only_the_shops_servers_read(reading):
    """Orders of strangers are nobody's business."""
    _, client = reading
    for path in ("/v1/orders", "/v1/orders/o1", "/v1/customers/k1/orders", "/v1/orders/live", "/v1/orders/o1/live"):
        assert (await client.get(path, headers={"Authorization": "Bearer demo"})).status_code == 401


async def test_each_change_is_sent_to_open_pages(mesh, reading, eventually):
    """First the order as it is, then after each change; the id is the place of its newest event."""
    index, _ = reading
    await mesh.publish(created())
    await eventually(lambda: index.search(lambda _: True, 1))
    lines = index.stream("o1", await index.order("o1"))
    everything = index.stream("*")
    heard = [await anext(lines), await anext(lines), await anext(everything)]

    changed = (await mesh.publish(cancelled()))[0].sequence
    heard += [await anext(lines), await anext(everything)]

    shown = [json.loads(one.partition(b"data: ")[2]) for one in heard if b"data: " in one]
    assert [one["status"] for one in shown] == ["created", "cancelled", "cancelled"]
    assert heard[-1].startswith(b"id: %d\n" % changed)
    await asyncio.gather(lines.aclose(), everything.aclose())


async def test_a_rebuild_is_not_seen_by_who_reads(mesh, reading, eventually):
    """While the bucket is empty orders are folded from their events; what replay does not bring back is forgotten."""
    index, client = reading
    await mesh.publish(created())
    invented = OrderView(order_id="o9", created_at=(await mesh.last(OrderCreated, "o1")).stored, sequence=1)
    await mesh.state(ORDERS).put("o9", invented)
    await eventually(lambda: len(index.search(lambda _: True, 10)) == 2)

    await mesh.state(ORDERS).purge()
    shown = await client.get("/v1/orders/o1")
    await mesh.state(ORDERS).put("o1", fold("o1", await mesh.history("o1", OrderCreated)))
    await eventually(lambda: _caught_up(index))
    for _ in range(2):
        await index.compare()

    assert shown.json()["order"]["status"] == "created"
    assert [one.order_id for one in index.search(lambda _: True, 10)] == ["o1"]


def test_the_read_side_publishes_nothing():
    """A rebuild sends no mail and no webhook: the service may publish no event at all."""
    assert (service.publishes, [binding.projects for binding in service.bindings]) == ((), [(ORDERS,)])


async def test_events_come_to_the_same_order_in_any_order(mesh):
    """All interleavings of six events, with repetitions."""
    pieces = (OrderedPieces(product_id="tea", quantity=1),)
    left = (CartLine(product_id="tea", quantity=1, price=euros(1299)),)
    command = Command(key="k", body="b")
    for event in (
        created(address_id="a1"),
        OrderReaddressed(order_id="o1", address_id="a2", command=command),
        OrderCancelled(
            order_id="o1", lines=pieces, amount=euros(1299), left=left, total=euros(1299), by="shop", reason="broken"
        ),
        ShipmentRequested(order_id="o1", lines=pieces),
        ShipmentDispatched(order_id="o1"),
        OrderReturned(order_id="o1", lines=pieces, amount=euros(1299), all_lines=pieces, total=euros(1299)),
    ):
        await mesh.publish(event)
    events: list[Received] = list(await mesh.history("o1", "order", "shipment"))
    whole = fold("o1", events)

    assert all(fold("o1", [*order, order[0]]) == whole for order in permutations(events))
    assert (whole.status, whole.address_id, whole.lines, whole.returned) == ("dispatched", "a2", left, pieces)
    assert fold("o1", [*events, *events]) == whole
    assert OrderRefunded not in [type(one.event) for one in events]


async def test_an_order_shows_what_a_bank_took_back_of_it(mesh):
    """Until the dispute is won; all interleavings of the events come to the same."""
    chargeback = Chargeback(dispute_id="dp_1", amount=euros(1000), reason="fraudulent")
    paid = PaymentState(
        provider="sandbox",
        authorised=euros(2598),
        captured=euros(2598),
        released=euros(0),
        refunded=euros(0),
        chargebacks=(chargeback,),
    )
    won = replace(paid, chargebacks=(replace(chargeback, won=True),))
    named = {
        "payment_id": "o1",
        "order_id": "o1",
        "dispute_id": "dp_1",
        "amount": euros(1000),
        "reason": "fraudulent",
    }
    await mesh.publish(created())
    await mesh.publish(PaymentChargedBack(**named, payment=paid))
    disputed = list(await mesh.history("o1", "order", "payment"))
    await mesh.publish(PaymentChargebackReversed(**named, payment=won))
    events = list(await mesh.history("o1", "order", "payment"))

    assert fold("o1", disputed).charged_back == euros(1000)
    assert {fold("o1", order).charged_back for order in permutations([*events, *disputed])} == {euros(0)}


async def _caught_up(index):
    return not await index.behind()
