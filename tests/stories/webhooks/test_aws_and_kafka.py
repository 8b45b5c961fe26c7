"""Webhooks to SQS, SNS and Kafka: moto's server, and the mock cluster of librdkafka, both over TCP."""

import asyncio
import json

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from standardwebhooks import Webhook

from mesh import Money, extras
from mesh.errors import InvalidField
from mesh.events.cart import CartLine
from mesh.events.order import OrderConfirmed
from mesh.events.webhook import WebhookPublished
from services.webhooks import endpoint_queue
from services.webhooks.views import view
from services.webhooks.webhook import WebhookForm
from tests.cloud_servers import KEY, SECRET, opened_cloud, opened_kafka

EURO = Money(amount=1299, currency="EUR")
TYPE = "order.confirmed.v1"


@pytest.fixture(scope="module")
def cloud():
    with opened_cloud() as server:
        yield server


@pytest.fixture(scope="module")
def kafka():
    with opened_kafka() as address:
        yield address


def order(id_: str) -> OrderConfirmed:
    line = CartLine(product_id="sku-1", quantity=1, price=EURO)
    return OrderConfirmed(order_id=id_, lines=(line,), total=EURO, visitor_id="secret-visitor")


def of_aws(cloud, arn, **fields):
    form = {"kind": "aws", "url": cloud.url, "target": arn, "user": KEY, "password": SECRET, "types": (TYPE,)}
    return {**form, **fields}


async def taken(cloud, url, count):
    """What a queue has, once it is so much; a message that comes again is not counted again."""
    sqs, found = cloud.client("sqs"), {}
    async with asyncio.timeout(60):
        while len(found) < count:
            answer = await asyncio.to_thread(
                sqs.receive_message,
                QueueUrl=url,
                MaxNumberOfMessages=10,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
                WaitTimeSeconds=1,
            )
            for one in answer.get("Messages", []):
                found[one["MessageId"]] = one
                await asyncio.to_thread(sqs.delete_message, QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    return list(found.values())


async def test_events_reach_queues_and_topics_of_amazon_signed_and_in_order(place, cloud):
    """A FIFO queue gets each order as a group, a queue of a topic the same event; a queue that is not there fails."""
    fifo, fifo_url = cloud.queue("orders.fifo", FifoQueue="true")
    behind, behind_url = cloud.queue("behind")
    topic = cloud.client("sns").create_topic(Name="shop")["TopicArn"]
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=behind)
    _, secret = await place.webhook(**of_aws(cloud, fifo, ordered=True))
    await place.webhook(**of_aws(cloud, topic))
    missing, _ = await place.webhook(**of_aws(cloud, fifo.replace("orders", "missing")))

    await place.mesh.publish(order("o1"))
    await place.mesh.publish(order("o1"))
    first, second = await taken(cloud, fifo_url, 2)
    notified = [json.loads(one["Body"]) for one in await taken(cloud, behind_url, 2)]

    attributes = {name: one["StringValue"] for name, one in first["MessageAttributes"].items()}
    event = Webhook(secret).verify(first["Body"], attributes)
    stored = [one.id async for one in place.mesh.read(OrderConfirmed)]
    assert [json.loads(one["Body"])["id"] for one in (first, second)] == stored
    assert (attributes["ce_type"], event["subject"]) == (TYPE, "o1")
    assert first["Attributes"]["MessageGroupId"] == "o1"
    assert first["Attributes"]["MessageDeduplicationId"] == event["id"]
    assert {json.loads(one["Message"])["id"] for one in notified} == set(stored)
    assert "secret-visitor" not in first["Body"]

    async def refused():
        return [one for one in await place.attempts(missing.id) if one.status == 400]

    assert "does not exist" in (await place.eventually(refused))[0].answer


async def test_the_secret_of_a_destination_is_neither_shown_nor_stored_as_it_is(place, cloud):
    """It is in no stream, no bucket and no form; it is kept over a change, and not sent to another address."""
    arn, _ = cloud.queue("secrets")
    webhook, _ = await place.webhook(**of_aws(cloud, arn))
    managing = place.managing
    faster = msgspec.structs.replace(webhook.form, throttle=5.0)
    elsewhere = msgspec.structs.replace(faster, url="http://127.0.0.1:1/")

    await managing.change(webhook.id, faster, "tests", expected=1)
    with pytest.raises(InvalidField, match="enter it again"):
        await managing.change(webhook.id, elsewhere, "tests", expected=2)

    kept = managing.find(webhook.id)
    assert (kept.password, kept.form.throttle) == (SECRET, 5.0)
    views = [view(managing, kept, whole_url=whole) for whole in (True, False)]
    assert all(SECRET.encode() not in msgspec.json.encode(one) for one in views)
    assert views[1].webhook.user == ""
    stored = [msgspec.json.encode(one.event) async for one in place.mesh.read(WebhookPublished)]
    assert len(stored) == 2
    assert all(SECRET.encode() not in one for one in stored)


async def test_events_reach_a_topic_of_kafka_with_the_subject_as_key(open_place, kafka):
    """In binary mode, the events of an order in one partition; only a cluster that the operator lists is taken."""
    place = await open_place(WEBHOOK_PRIVATE_ADDRESSES="false", WEBHOOK_BROKERS=kafka, WEBHOOK_RETRIES="50ms")
    form = {"kind": "kafka", "url": f"kafka://{kafka}", "target": "orders", "mode": "binary", "types": (TYPE,)}
    with pytest.raises(InvalidField, match="CARTMESH_WEBHOOK_BROKERS"):
        await place.webhook(**form | {"url": "kafka://kafka.example:9092"})
    await place.webhook(**form, ordered=True)

    for id_ in ("o1", "o2", "o1", "o1"):
        await place.mesh.publish(order(id_))
    stored = [one async for one in place.mesh.read(OrderConfirmed)]
    await place.noted(*["delivered"] * 4)

    async with AIOKafkaConsumer("orders", bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        found = [await asyncio.wait_for(consumer.getone(), 60) for _ in range(4)]
    ours = [one for one in found if one.key == b"o1"]
    headers = {name: value.decode() for name, value in ours[0].headers}
    assert [dict(one.headers)["ce_id"].decode() for one in ours] == [
        one.id for one in stored if one.event.order_id == "o1"
    ]
    assert len({one.partition for one in ours}) == 1
    assert (headers["ce_type"], headers["ce_subject"], headers["content-type"]) == (TYPE, "o1", "application/json")
    assert headers["webhook-signature"].startswith("v1,")
    assert json.loads(ours[0].value)["order_id"] == "o1"


async def test_a_kafka_that_is_away_is_tried_again_and_gets_everything_once_it_is_there(open_place, monkeypatch):
    """What was not taken has failed, with the reason in the log; the cluster that comes back has another address."""
    monkeypatch.setattr(endpoint_queue, "LONGEST_PROBE", 0.5)
    with opened_kafka() as there_again:
        place = await open_place(WEBHOOK_BROKERS=f"127.0.0.1:1,{there_again}", WEBHOOK_RETRIES="50ms," * 200)
        form = {"kind": "kafka", "target": "away", "types": (TYPE,)}
        webhook, _ = await place.webhook(**form, url="kafka://127.0.0.1:1")
        await place.mesh.publish(order("o1"))

        async def failed():
            return [one for one in await place.attempts() if one.outcome == "failed"]

        assert "Unable to bootstrap" in (await place.eventually(failed))[0].error
        there = msgspec.structs.replace(webhook.form, url=f"kafka://{there_again}")
        await place.managing.change(webhook.id, there, "tests", expected=1)
        async with AIOKafkaConsumer("away", bootstrap_servers=there_again, auto_offset_reset="earliest") as consumer:
            found = await asyncio.wait_for(consumer.getone(), 60)
    assert found.key == b"o1"


@pytest.mark.parametrize(("kind", "extra"), [("rabbitmq", "rabbitmq"), ("kafka", "kafka"), ("aws", "aws")])
async def test_a_missing_library_is_named_with_its_extra(kind, extra, monkeypatch):
    """As soon as somebody enters a webhook that needs it."""
    monkeypatch.setitem(extras.MODULES, extra, "not_installed_anywhere")

    with pytest.raises(InvalidField, match=rf"pip install 'cartmesh\[{extra}\]'"):
        WebhookForm(name="W", kind=kind).check()
