"""A real RabbitMQ: webhooks go there and messages come from there; what waits while it is away is not lost."""

import asyncio
import json
from contextlib import asynccontextmanager

import aio_pika
import msgspec
import pytest
from standardwebhooks import Webhook

from mesh import Mesh, Money
from mesh.errors import InvalidField
from mesh.events.cart import CartLine
from mesh.events.connection import ConnectionReported
from mesh.events.interaction import ProductViewed
from mesh.events.order import OrderConfirmed
from mesh.runtime.run import running
from services.gateway import service as gateway
from services.webhooks import endpoint_queue
from tests.rabbitmq_server import ABSENT, INSTALLED, PASSWORD, USER, opened_rabbitmq

pytestmark = pytest.mark.skipif(not INSTALLED, reason=ABSENT)
EURO = Money(amount=1299, currency="EUR")
TYPE = "order.confirmed.v1"


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory):
    with opened_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


def order(id_: str) -> OrderConfirmed:
    line = CartLine(product_id="sku-1", quantity=1, price=EURO)
    return OrderConfirmed(order_id=id_, lines=(line,), total=EURO, visitor_id="secret-visitor")


async def channel_to(server):
    """A client's own connection, which is closed with the test's loop."""
    connection = await aio_pika.connect(server.url, login=USER, password=PASSWORD)
    return connection, await connection.channel()


async def taken(queue, count, known=()):
    """The next messages of a queue, without those `known`: an acknowledgement may be lost when the server is killed."""
    found = []
    async with asyncio.timeout(60), queue.iterator() as messages:
        async for message in messages:
            await message.ack()
            if message.message_id not in known:
                found.append(message)
            if len(found) == count:
                break
    return found


def broker(server, **fields):
    return {"kind": "rabbitmq", "url": server.url, "user": USER, "password": PASSWORD, "types": (TYPE,), **fields}


async def test_what_happens_reaches_a_queue(place, rabbitmq):
    """Bound by type, signed, in structured mode and in binary."""
    connection, channel = await channel_to(rabbitmq)
    exchange = await channel.declare_exchange("shop", "topic", durable=True)
    typed = await channel.declare_queue("typed", durable=True)
    await typed.bind(exchange, "order.confirmed.v1.#")
    _, secret = await place.webhook(**broker(rabbitmq, target="shop"))
    await place.webhook(**broker(rabbitmq, routing="named", mode="binary"))
    named = await channel.declare_queue("named", durable=True)

    await place.mesh.publish(order("o1"))
    (structured,), (binary,) = await taken(typed, 1), await taken(named, 1)

    event = Webhook(secret).verify(structured.body, {name: str(value) for name, value in structured.headers.items()})
    assert structured.routing_key == f"{TYPE}.o1"
    assert (event["type"], event["subject"]) == (TYPE, "o1")
    assert (structured.message_id, structured.delivery_mode) == (event["id"], aio_pika.DeliveryMode.PERSISTENT)
    assert structured.content_type.startswith("application/cloudevents+json")
    assert binary.headers["cloudEvents_id"] == event["id"]
    assert msgspec.json.decode(binary.body) == event["data"]
    assert b"secret-visitor" not in structured.body

    await connection.close()


@asynccontextmanager
async def gateway_of(place, server, monkeypatch, queue="incoming"):
    """A gateway of the place's region that fetches from a queue."""
    address = server.url.replace("amqp://", f"amqp://{USER}:{PASSWORD}@")
    monkeypatch.setenv("CARTMESH_SOURCES", f"erp=cloudevents:{address}?queue={queue}")
    broker = place.regions.broker("us")
    try:
        async with running(gateway, Mesh(broker, "gateway"), http=("127.0.0.1", 0)):
            yield
    finally:
        await broker.drain()


def viewed(id_: str) -> aio_pika.Message:
    """A CloudEvent in structured mode, without a time."""
    data = {"visitor_id": "v1", "product_id": id_}
    event = {"specversion": "1.0", "id": id_, "source": "/erp", "type": "product_viewed", "data": data}
    return aio_pika.Message(json.dumps(event).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)


async def test_messages_of_a_queue_are_stored_once(place, rabbitmq, monkeypatch):
    """What can never be taken goes to the queue's dead letters."""
    connection, channel = await channel_to(rabbitmq)
    dead = await channel.declare_queue("dead", durable=True)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    await channel.declare_queue("incoming", durable=True, arguments=arguments)
    for message in (viewed("p1"), viewed("p1"), aio_pika.Message(b"no JSON"), viewed("p2")):
        await channel.default_exchange.publish(message, routing_key="incoming")

    async with gateway_of(place, rabbitmq, monkeypatch):
        await place.eventually(lambda: _stored(place, "p1", "p2"))
        (refused,) = await place.eventually(lambda: _reported(place, 400))
        (buried,) = await taken(dead, 1)

    assert (refused.source, refused.path, refused.sender) == ("rabbitmq", "queue incoming", "rabbitmq_erp")
    assert buried.body == b"no JSON"
    await connection.close()


@pytest.mark.drill
async def test_nothing_is_lost_or_doubled_while_rabbitmq_is_away(open_place, rabbitmq, monkeypatch):
    """What waits for it is sent in its order, what it holds is fetched, and the pages say meanwhile what is wrong."""
    monkeypatch.setattr(endpoint_queue, "LONGEST_PROBE", 0.5)
    place = await open_place(WEBHOOK_RETRIES="300ms," * 1000)
    connection, channel = await channel_to(rabbitmq)
    for name in ("ordered", "incoming-2"):
        await channel.declare_queue(name, durable=True)
    webhook, _ = await place.webhook(**broker(rabbitmq, routing="ordered", mode="binary", ordered=True))
    async with gateway_of(place, rabbitmq, monkeypatch, "incoming-2"):
        await channel.default_exchange.publish(viewed("p1"), routing_key="incoming-2")
        await place.mesh.publish(order("o1"))
        await place.eventually(lambda: _stored(place, "p1"))
        (first,) = await taken(await channel.declare_queue("ordered", durable=True), 1)
        await connection.close()
        await asyncio.to_thread(rabbitmq.stop)
        for number in range(2, 6):
            await place.mesh.publish(order("o1") if number % 2 else order("o2"))
        await place.eventually(lambda: _failed(place, webhook.id))
        away = await place.eventually(lambda: _reported(place, 503))
        await asyncio.to_thread(rabbitmq.start)
        connection, channel = await channel_to(rabbitmq)
        await channel.default_exchange.publish(viewed("p3"), routing_key="incoming-2")
        found = await taken(await channel.declare_queue("ordered", durable=True), 4, {first.message_id})
        await place.eventually(lambda: _stored(place, "p1", "p3"))
        await connection.close()

    stored = [one async for one in place.mesh.read(OrderConfirmed)]
    published = [one.id for one in stored if one.event.order_id == "o1"][1:]
    assert [one.message_id for one in found if one.headers["cloudEvents_subject"] == "o1"] == published
    assert len({one.message_id for one in found}) == 4
    assert "tried again in" in away[0].reason


async def _stored(place, *ids):
    return [one.event.product_id async for one in place.mesh.read(ProductViewed)] == list(ids)


async def _reported(place, status):
    reports = [one.event async for one in place.mesh.read(ConnectionReported)]
    return [one for report in reports for one in report.requests if one.status == status]


async def _failed(place, id_):
    return any(one.outcome == "failed" and one.error for one in await place.attempts(id_))


async def test_what_reaches_no_queue_has_failed_and_the_log_says_why(open_place, rabbitmq, caplog):
    """An exchange that is bound to nothing, one that is not there, a wrong password: each by its own words."""
    caplog.set_level("DEBUG")
    place = await open_place(WEBHOOK_RETRIES="1h")
    connection, channel = await channel_to(rabbitmq)
    await channel.declare_exchange("unbound", "topic")
    cases = {
        "unroutable": broker(rabbitmq, target="unbound"),
        "no exchange 'missing'": broker(rabbitmq, target="missing"),
        "ACCESS_REFUSED": broker(rabbitmq, target="unbound", password="wrong-password"),
    }
    made = {words: (await place.webhook(**fields))[0].id for words, fields in cases.items()}

    await place.mesh.publish(order("o9"))
    noted = {one.webhook_id: one for one in await place.noted("failed", "failed", "failed")}

    for words, id_ in made.items():
        assert words in noted[id_].error, noted[id_].error
    assert "wrong-password" not in caplog.text
    await connection.close()


async def test_a_broker_within_ones_own_network_needs_the_operators_word(open_place, rabbitmq):
    """Neither an address nor a name that leads there is connected to; without TLS nothing is. The list allows it."""
    place = await open_place(WEBHOOK_PRIVATE_ADDRESSES="false", WEBHOOK_RETRIES="1h")
    for url, words in (
        (rabbitmq.url, "must begin with amqps://"),
        (f"amqps://127.0.0.1:{rabbitmq.port}/", "not public"),
        ("amqps://user:word@rabbit.example/", "fields of their own"),
    ):
        with pytest.raises(InvalidField, match=words):
            await place.webhook(**broker(rabbitmq, url=url, target="shop"))
    allowed = await open_place(
        WEBHOOK_PRIVATE_ADDRESSES="false", WEBHOOK_BROKERS=f"127.0.0.1:{rabbitmq.port}", WEBHOOK_RETRIES="1h"
    )
    await allowed.webhook(**broker(rabbitmq, target="unbound"))
    await allowed.mesh.publish(order("o1"))
    (attempted,) = await allowed.noted("failed")

    assert "unroutable" in attempted.error
