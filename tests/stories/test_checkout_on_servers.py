"""An order's whole way on real servers: services with no more rights than they declare, and a provider with books."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from mesh import Money
from mesh.events.checkout import CheckoutAdvanced
from mesh.events.order import OrderConfirmed
from mesh.events.payment import PaymentCaptured, PaymentCaptureRequested
from mesh.events.product import ProductListed
from mesh.events.shipment import ShipmentRequested
from mesh.events.stock import StockLevelChanged
from mesh.runtime.discovery import discover
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.ports import free_ports
from mesh.runtime.run import running
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from services import checkout, orders, payments, stock
from services.checkout.cli import parked
from services.demo.payment_provider.server import payment_provider
from services.orders import views
from services.stock.commands import StockCommand, apply
from services.stock.writer import StockWriter

ROOT = Path(__file__).parents[2]
API_KEY, SECRET = "sk_test_0123456789abcdef", "whsec_0123456789abcdef"
TEA = StockCommand(id="r1", sku="tea", warehouse="w1", quantity=5)
KEY = {"Authorization": "Bearer the-shop-server-key"}
ORDER = {
    "lines": [{"product_id": "tea", "quantity": 2}],
    "visitor_id": "v1",
    "customer_id": "k1",
    "address": {"name": "Ada", "street": "1 Main St", "postal_code": "10115", "city": "Berlin", "country": "DE"},
}


@pytest.fixture
async def shop(monkeypatch, tmp_path):
    """One region of one node, all services of a checkout, and the sandbox provider; clients by service."""
    topology = Topology.load(ROOT / "mesh.toml").only("us", nodes=1)
    (port,) = free_ports(1)
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(payment_provider(tmp_path, api_key=API_KEY, secrets=(SECRET,)))
        for name, value in {
            "SERVER_KEYS": "the-shop-server-key",
            "URL_PAYMENT_PROVIDER": provider,
            "PAYMENT_PROVIDER_KEY": API_KEY,
            "PAYMENT_WEBHOOK_SECRETS": SECRET,
            "URL_PAYMENTS": f"http://127.0.0.1:{port}",
            "CHECK_WITHIN": "200ms",
        }.items():
            monkeypatch.setenv(f"CARTMESH_{name}", value)
        servers = await stack.enter_async_context(LocalServers(topology, services=discover()))
        clients = {}
        for one in (payments.service, stock.service, orders.service, checkout.service, views.service):
            mesh = await connect(servers.access, "us", one.name)
            stack.push_async_callback(mesh.broker.drain)
            address = ("127.0.0.1", port if one is payments.service else 0) if one.serves_http else None
            run = await stack.enter_async_context(running(one, mesh, http=address))
            client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port or port}", headers=KEY, timeout=60)
            clients[one.name] = await stack.enter_async_context(client)
            if one is stock.service:
                await apply(run.provided[StockWriter], "receive", TEA)
        books = httpx.AsyncClient(base_url=provider, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=60)
        clients["books"] = await stack.enter_async_context(books)
        operator = await connect(servers.access, "us", "operator")
        stack.push_async_callback(operator.broker.drain)
        yield operator, clients, servers


async def test_a_paid_order_is_sold_and_sent_and_a_declined_one_is_undone(shop, eventually, capsys, tmp_path):
    """One is charged, sold and handed to shipping once, though it was sent twice; of the other nothing is left."""
    mesh, clients, servers = shop
    await mesh.publish(ProductListed(product_id="tea", price=Money(amount=1299, currency="EUR")))

    async def ordered(key, method):
        body = ORDER | {"payment_method": method}
        answer = await clients["orders"].post("/v1/orders", json=body, headers={"Idempotency-Key": key})
        assert answer.is_success, answer.text
        return answer.json()

    paid, again = await asyncio.gather(ordered("k1", "card_ok"), ordered("k1", "card_ok"))
    declined = await ordered("k2", "card_declined")
    good, bad = paid["order"]["order_id"], declined["order"]["order_id"]

    async def ended():
        states = [(await mesh.last(CheckoutAdvanced, one)) for one in (good, bad)]
        return [one.event.step for one in states if one] == ["finished", "undone"]

    await eventually(ended, within=120)
    last = (await mesh.last(ShipmentRequested, good)).sequence
    read = clients["order-views"]
    shown = (await read.get(f"/v1/orders/{good}", params={"after": last})).json()["order"]

    async def cancelled():
        listed = (await read.get("/v1/customers/k1/orders")).json()["orders"]
        return {one["order_id"]: one["status"] for one in listed} == {good: "shipping", bad: "cancelled"}

    await eventually(cancelled)
    asked = {"since": "2020-01-01T00:00:00Z", "until": "2090-01-01T00:00:00Z"}
    charges = (await clients["books"].get("/v1/charges", params=asked)).json()["charges"]
    level = (await mesh.last(StockLevelChanged, "tea")).event

    assert again["order"]["order_id"] == good
    assert shown["status"] == "shipping"
    assert sorted((one["order"], one["captured"]) for one in charges if one["captured"]) == [(good, 2598)]
    assert sum(one["authorised"] - one["captured"] - one["released"] for one in charges) == 0
    assert (level.on_hand, level.reserved, level.sold) == (3, 0, 2)
    counts = [len([1 async for _ in mesh.read(kind)]) for kind in (OrderConfirmed, PaymentCaptured, ShipmentRequested)]
    assert (counts, await mesh.last(PaymentCaptureRequested, bad)) == ([1, 1, 1], None)

    await asyncio.to_thread(parked, region="us", servers=servers.write_state(tmp_path / "servers.json"))
    assert capsys.readouterr().out == "us: no checkout is parked\n"
