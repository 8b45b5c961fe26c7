"""Webhooks on a real server, with no more rights than the service has."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from mesh import Mesh, Money
from mesh.binding import NO_KEY
from mesh.broker.durable import consumer_config
from mesh.errors import Denied
from mesh.events.cart import CartLine
from mesh.events.order import OrderConfirmed, OrderRefunded
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.web.accounts import ACCOUNTS
from services.console import service as console
from services.orders import service as orders
from services.webhooks import service as webhooks
from tests.partner_endpoint import Endpoint, opened_endpoint, status

LINE = CartLine(product_id="sku-1", quantity=2, price=Money(amount=1299, currency="EUR"))
TOPOLOGY = Topology.load(Path(__file__).parents[2] / "mesh.toml").only("us", nodes=1)
pytestmark = pytest.mark.asyncio(loop_scope="module")


def euros(amount):
    return Money(amount=amount, currency="EUR")


def order(id_):
    return OrderConfirmed(order_id=id_, lines=(LINE,), total=euros(2598), visitor_id="v")


@dataclass
class House:
    """A region's orders, the pages of its webhooks, and a partner's endpoint."""

    orders: Mesh
    client: httpx.AsyncClient
    endpoint: Endpoint
    service: Mesh
    servers: LocalServers

    async def webhook(self, path, **fields):
        """A new webhook, over the API."""
        form = {"name": path, "url": self.endpoint.url(path), "types": ["order.confirmed.v1"], **fields}
        made = await self.client.post("/webhooks/v1", json=form)
        assert made.status_code == 201, made.text
        return made.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(signed_in):
    patch = pytest.MonkeyPatch()
    settings = {"WEBHOOK_PRIVATE_ADDRESSES": "true", "WEBHOOK_RETRIES": "50ms,50ms"}
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        for name, value in settings.items():
            patch.setenv(f"CARTMESH_{name}", value)
        endpoint = await stack.enter_async_context(opened_endpoint())
        servers = LocalServers(TOPOLOGY, services=[webhooks, orders, console])
        await stack.enter_async_context(servers)

        async def mesh(name):
            connected = await connect(servers.access, "us", name)
            stack.push_async_callback(connected.broker.drain)
            return connected

        service = await mesh("webhooks")
        run = await stack.enter_async_context(running(webhooks, service, http=("127.0.0.1", 0)))
        headers = await signed_in(await mesh("console"), "publisher")
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", headers=headers, timeout=60)
        yield House(await mesh("orders"), await stack.enter_async_context(client), endpoint, service, servers)


async def test_only_what_a_webhook_gets_is_delivered_to_the_service(house, eventually, monkeypatch):
    """The server keeps back everything else, also from a webhook that is made afterwards."""
    monkeypatch.setattr("services.webhooks.current_webhooks.CLOCKS_DIFFER", timedelta(0))  # there is one clock here
    stream, durable = house.service.commerce, "webhooks-plan-deliveries"

    async def filters():
        return (await house.service.broker.consumer_states(stream, [durable]))[durable].filters

    (nothing,) = await filters()
    assert nothing.endswith(f".{NO_KEY}")
    await house.orders.publish(order("before"))

    differences = [one.what for one in await house.servers.apply()]
    assert not [one for one in differences if one.startswith("consumer")]  # what a service wants is its own concern
    assert await filters() == {nothing}

    made = await house.webhook("/first")
    assert await filters() == {"ev.us.order.confirmed.*"}
    await house.orders.publish(order("after"))

    (request,) = await eventually(lambda: house.endpoint.of("/first"))
    assert request.event["subject"] == "after"
    deleted = await house.client.delete(f"/webhooks/v1/{made['id']}")
    assert deleted.status_code < 300, deleted.text
    assert await filters() == {nothing}


async def test_what_happens_is_delivered_and_what_fails_is_tried_again(house, eventually):
    """Signed, with one id however often it is sent; the log has each attempt."""
    made = await house.webhook("/flaky")
    house.endpoint.answers["/flaky"] = lambda count, _: status(500 if count == 1 else 204)

    await house.orders.publish(order("o1"))
    await eventually(lambda: len(house.endpoint.of("/flaky")) == 2)

    async def log():
        found = (await house.client.get(f"/webhooks/v1/{made['id']}/attempts")).json()
        return found if len(found) == 2 else None

    again, first = await eventually(log)
    one, two = house.endpoint.of("/flaky")
    assert Webhook(made["secret"]).verify(two.body, two.headers)["subject"] == "o1"
    assert (one.headers["webhook-id"], one.body) == (two.headers["webhook-id"], two.body)
    assert [(a["attempt"], a["outcome"], a["status"]) for a in (first, again)] == [
        (1, "failed", 500),
        (2, "delivered", 204),
    ]
    page = await house.client.get(f"/webhooks/{made['id']}", headers={"accept": "text/html"})
    assert (page.status_code, "order.confirmed.v1" in page.text) == (200, True)


async def test_orders_events_come_in_order_and_are_replayed(house, eventually):
    """From the streams of a real server, one after the other, and again from the time that is asked for."""
    made = await house.webhook("/strict", ordered=True, types=[])
    house.endpoint.answers["/strict"] = lambda count, _: status(500 if count == 2 else 200)
    since = datetime.now(UTC)
    for event in (order("s1"), *(OrderRefunded(order_id="s1", refunded=euros(at)) for at in (1, 2, 3)), order("s2")):
        await house.orders.publish(event)

    def refunds(requests):
        found = [one.event["data"].get("refunded", {}).get("amount", 0) for one in requests if _is(one, "s1")]
        return list(dict.fromkeys(found))

    await eventually(lambda: len(house.endpoint.of("/strict")) == 6)
    before = len(house.endpoint.of("/strict"))
    asked = {"since": since.isoformat(), "until": datetime.now(UTC).isoformat()}
    started = await house.client.post(f"/webhooks/v1/{made['id']}/replay", json=asked)
    await eventually(lambda: len(house.endpoint.of("/strict")) == before + 5)

    assert started.status_code == 202, started.text
    assert refunds(house.endpoint.of("/strict")[:before]) == [0, 1, 2, 3]
    assert refunds(house.endpoint.of("/strict")[before:]) == [0, 1, 2, 3]


def _is(request, subject):
    return request.event["subject"] == subject


async def test_the_service_may_not_read_personal_events_nor_publish_what_others_say(house):
    """With its password one reads no personal data, and forges no order; what it may narrow goes to nobody else."""
    with pytest.raises(Denied):
        await house.service.broker.last("PERSONAL_us", "pii.us.>")
    with pytest.raises(Denied):
        await house.service.publish(order("forged"))
    with pytest.raises(Denied):
        await house.service.state(ACCOUNTS).put("a1", None)
    spec = webhooks.bindings[0].consumers("us", house.service.layout)[0]
    for elsewhere in ("rpc.us.orders.redo", "$JS.API.STREAM.PURGE.COMMERCE_us"):
        config = consumer_config(spec) | {"filter_subjects": list(spec.filters), "deliver_subject": elsewhere}
        asked = msgspec.json.encode({"stream_name": spec.stream, "config": config})
        made = f"$JS.API.CONSUMER.CREATE.{spec.stream}.{spec.durable}"
        reply = await house.service.broker.connection.request(made, asked)
        assert b"can not update pull consumer to push based" in reply.data
