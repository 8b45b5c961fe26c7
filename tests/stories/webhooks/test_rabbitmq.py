"""Webhooks to a real RabbitMQ: confirmed, in order for each key, and retried while the server is away."""

import asyncio

import aio_pika
import msgspec
import pytest
from standardwebhooks import Webhook

from mesh import Money
from mesh.errors import InvalidField
from mesh.events.cart import CartLine
from mesh.events.order import OrderConfirmed
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


async def test_what_happens_reaches_a_queue_and_nothing_is_lost_while_rabbitmq_is_away(
    open_place, rabbitmq, monkeypatch
):
    """Bound by type, signed, in either mode; with strict order what waited for the server comes in its order."""
    monkeypatch.setattr(endpoint_queue, "LONGEST_PROBE", 0.5)
    place = await open_place(WEBHOOK_RETRIES="300ms," * 1000)
    connection, channel = await channel_to(rabbitmq)
    exchange = await channel.declare_exchange("shop", "topic", durable=True)
    typed = await channel.declare_queue("typed", durable=True)
    await typed.bind(exchange, "order.confirmed.v1.#")
    _, secret = await place.webhook(**broker(rabbitmq, target="shop"))
    webhook, _ = await place.webhook(**broker(rabbitmq, routing="ordered", mode="binary", ordered=True))
    ordered = await channel.declare_queue("ordered", durable=True)

    await place.mesh.publish(order("o1"))
    (structured,), (binary,) = await taken(typed, 1), await taken(ordered, 1)

    event = Webhook(secret).verify(structured.body, {name: str(value) for name, value in structured.headers.items()})
    assert structured.routing_key == f"{TYPE}.o1"
    assert (event["type"], event["subject"]) == (TYPE, "o1")
    assert (structured.message_id, structured.delivery_mode) == (event["id"], aio_pika.DeliveryMode.PERSISTENT)
    assert structured.content_type.startswith("application/cloudevents+json")
    assert binary.headers["cloudEvents_id"] == event["id"]
    assert msgspec.json.decode(binary.body) == event["data"]
    assert b"secret-visitor" not in structured.body

    await connection.close()
    await asyncio.to_thread(rabbitmq.stop)
    for number in range(2, 6):
        await place.mesh.publish(order("o1") if number % 2 else order("o2"))
    await place.eventually(lambda: _failed(place, webhook.id))
    await asyncio.to_thread(rabbitmq.start)
    connection, channel = await channel_to(rabbitmq)
    found = await taken(await channel.declare_queue("ordered", durable=True), 4, {event["id"]})

    stored = [one async for one in place.mesh.read(OrderConfirmed)]
    published = [one.id for one in stored if one.event.order_id == "o1"][1:]
    assert [one.message_id for one in found if one.headers["cloudEvents_subject"] == "o1"] == published
    assert len({one.message_id for one in found}) == 4
    await connection.close()


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
