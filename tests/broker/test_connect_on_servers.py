"""The adapters, history and Connections on a real server, with no more rights than their services have."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime

import httpx
import pytest

from mesh.events.cart import CartIdle, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.order import OrderCancellationReported, OrderRefundReported
from mesh.runtime.discovery import discover
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.runtime.waiting import until
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import OPERATOR
from services.connect import service as connections
from services.gateway import service as gateway
from tests.stories.connect.conftest import SERVER, basic

TEA = {"product_id": "sku-1", "price": 12.99, "currency": "EUR", "quantity": 1}


@pytest.fixture
async def place(signed_in, monkeypatch):
    """A gateway, Connections, and an operator who reads."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", SERVER)
    async with AsyncExitStack() as stack:
        servers = LocalServers(Topology.of(["us"], nodes=1), services=discover())
        await stack.enter_async_context(servers)

        async def mesh(name):
            connected = await connect(servers.access, "us", name)
            stack.push_async_callback(connected.broker.drain)
            return connected

        entry = await stack.enter_async_context(running(gateway, await mesh("gateway"), http=("127.0.0.1", 0)))
        pages = await stack.enter_async_context(running(connections, await mesh("connect"), http=("127.0.0.1", 0)))
        headers = await signed_in(await mesh("console"), "viewer")
        open_client = httpx.AsyncClient
        client = await stack.enter_async_context(open_client(base_url=f"http://127.0.0.1:{entry.port}", timeout=30))
        viewer = await stack.enter_async_context(
            open_client(base_url=f"http://127.0.0.1:{pages.port}", headers=headers, timeout=30)
        )
        yield client, viewer, await mesh(OPERATOR)


def reported(order_id, line):
    """That another system cancelled an order, and paid it back."""
    shared = {"order_id": order_id, "time": datetime.now(UTC).isoformat()}
    whole = {"lines": [line], "total": line["price"]}
    return [
        {**shared, "type": "order_cancellation_reported", "id": "e1", **whole},
        {**shared, "type": "order_refund_reported", "id": "e2", "refund_id": "r1", "amount": line["price"]},
    ]


async def test_changes_of_a_cart_history_and_what_was_refused(place):
    """Two hundred changes of one cart in one request, sent twice, are one cart; history has no timer; all is shown."""
    client, viewer, operator = place
    calls = [
        {
            "type": "track",
            "event": "Product Added",
            "messageId": f"m{at}",
            "anonymousId": "a1",
            "timestamp": datetime.now(UTC).isoformat(),
            "properties": TEA,
        }
        for at in range(40)
    ]
    first = await client.post("/v1/batch", json={"batch": calls}, headers=basic("demo"))
    again = await client.post("/v1/batch", json={"batch": calls}, headers=basic("demo"))
    past = {"id": "h1", "time": "2024-05-01T12:00:00Z", "visitor_id": "v1"}
    line = {"product_id": "sku-1", "quantity": 1, "price": {"amount": 1299, "currency": "EUR"}}
    events = [
        {**past, "type": "product_viewed", "product_id": "sku-1"},
        {**past, "id": "h2", "type": "cart_updated", "cart_id": "old", "lines": [line]},
        {**past, "id": "h3", "type": "order_confirmed", "order_id": "o1", "lines": [line], "total": line["price"]},
    ]
    history = await client.post(
        "/v1/history", json={"events": events}, headers={"authorization": f"Bearer {SERVER}"}, params={"again": "false"}
    )
    refused = await client.post("/v1/track", json=calls[0] | {"event": "Video Played"}, headers=basic("demo"))

    ended = await client.post(
        "/v1/events", json={"events": reported("o2", line)}, headers={"authorization": f"Bearer {SERVER}"}
    )

    assert [one.json()["rejected"] for one in (first, again, history, ended)] == [[], [], [], []]
    assert (await operator.last(OrderCancellationReported, "o2")).event.asked_by == "shop"
    assert (await operator.last(OrderRefundReported, "o2")).event.amount.amount == 1299
    assert (first.json()["accepted"], again.json()["duplicates"]) == (40, 40)
    assert refused.json()["not_understood"][0]["name"] == "Video Played"
    newest = await operator.last(CartUpdated, "of-a1")
    assert [(one.product_id, one.quantity) for one in newest.event.lines] == [("sku-1", 40)]
    views = [one.time.year async for one in operator.read(ProductViewed)]
    idle = [one async for one in operator.read(CartIdle)]
    timers = [message.subject async for message in operator.broker.read(operator.commerce, ["timer.us.>"])]
    assert (views, idle, timers) == ([2024], [], ["timer.us.cart.idle.of-a1"])

    async def shown():
        page = (await viewer.get("/connections")).text
        return all(words in page for words in ("Video Played", "/v1/history", "/v1/batch"))

    await until(shown, "the requests are not shown")
