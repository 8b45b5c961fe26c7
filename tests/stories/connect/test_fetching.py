"""What is fetched from SQS and Kafka: moto's server, and the mock cluster of librdkafka, both over TCP."""

import json

import pytest
from aiokafka import AIOKafkaProducer

from mesh.errors import DeclarationError
from mesh.events.cart import CartUpdated
from mesh.events.connection import ConnectionReported
from mesh.events.interaction import ProductViewed
from services.connect.brokers import kafka as kafka_feed
from services.connect.brokers.sources import SourceSettings, declared_sources
from tests.cloud_servers import ACCOUNT, KEY, REGION, SECRET, opened_cloud, opened_kafka

PRICE = {"amount": 1299, "currency": "EUR"}


@pytest.fixture(scope="module")
def cloud():
    with opened_cloud() as server:
        yield server


def cart(id_: str, cart_id: str = "c1") -> dict:
    """A whole cart as a CloudEvent."""
    line = {"product_id": "sku-1", "quantity": 1, "price": PRICE}
    data = {"visitor_id": "v1", "cart_id": cart_id, "lines": [line]}
    return {"specversion": "1.0", "id": id_, "source": "/erp", "type": "cart_updated", "data": data}


async def reported(shop):
    """Every request that was reported, oldest first."""
    return [one for report in await shop.events(ConnectionReported) for one in report.requests]


def test_a_source_that_is_declared_wrongly_is_refused_with_what_to_write(monkeypatch):
    """At start, and without the password that stands in it."""
    for text, words in (
        ("erp=cloudevents", "none of amqp"),
        ("erp=telex:amqp://h/", "the mapping is cloudevents"),
        ("erp=cloudevents:amqp://mesh:top-secret@h/", r"\?queue="),
        ("erp=cloudevents:kafka://mesh:top-secret@h:9092/", "topic"),
        ("erp=cloudevents:sqs://h/1/q", "region"),
        ("a=segment:amqp://h/?queue=q a=segment:amqp://h/?queue=q", "name of its own"),
    ):
        monkeypatch.setenv("CARTMESH_SOURCES", text)
        with pytest.raises(DeclarationError, match=words) as refused:
            declared_sources()
        assert "top-secret" not in str(refused.value)
    assert SourceSettings().sources == ""


async def test_messages_of_sqs_are_stored_once_and_deleted(open_shop, cloud, eventually):
    """Directly or by a topic of SNS; what comes twice is stored once; what is wrong is reported, and deleted."""
    arn, url = cloud.queue("carts")
    sqs, sns = cloud.client("sqs"), cloud.client("sns")
    topic = sns.create_topic(Name="carts")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    host = cloud.url.removeprefix("http://")
    place = f"sqs+http://{KEY}:{SECRET}@{host}/{ACCOUNT}/carts?region={REGION}"
    shop = await open_shop(sources=f"erp=cloudevents:{place}")

    for body in (cart("1"), cart("1"), {"id": "no CloudEvent"}):
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))
    sns.publish(TopicArn=topic, Message=json.dumps(cart("2", "c2")))

    async def done():
        left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        waiting = int(left["ApproximateNumberOfMessages"]) + int(left["ApproximateNumberOfMessagesNotVisible"])
        seen = await reported(shop)
        return seen if not waiting and len(seen) >= 4 else None

    seen = await eventually(done)
    assert [one.cart_id for one in await shop.events(CartUpdated)] == ["c1", "c2"]
    assert {(one.source, one.path, one.by, one.sender) for one in seen} == {("sqs", "queue carts", "server", "sqs_erp")}
    assert sorted(one.status for one in seen) == [200, 200, 200, 422]
    assert sum(one.duplicates for one in seen) == 1


async def test_messages_of_kafka_are_stored_before_their_offsets_are_committed(open_shop, eventually, monkeypatch):
    """In binary mode and as calls of Segment's spec; a cluster that is away is reported, and tried again."""
    monkeypatch.setattr(kafka_feed, "PATIENCE", 0.2)
    with opened_kafka() as kafka:
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            body = json.dumps(cart("k1")["data"]).encode()
            names = {"specversion": "1.0", "id": "k1", "source": "/erp", "type": "cart_updated"}
            headers = [(f"ce_{name}", value.encode()) for name, value in names.items()]
            for _ in range(2):
                headers_of_json = [("content-type", b"application/json"), *headers]
                await producer.send_and_wait("carts", body, headers=headers_of_json)
            call = {
                "type": "track",
                "messageId": "m1",
                "anonymousId": "v1",
                "event": "Product Viewed",
                "properties": {"product_id": "sku-1"},
            }
            await producer.send_and_wait("clicks", json.dumps(call).encode())
        shop = await open_shop(
            sources=f"erp=cloudevents:kafka://{kafka}/carts web=segment:kafka://{kafka}/clicks?group=other"
            " gone=segment:kafka://127.0.0.1:1/clicks"
        )

        async def done():
            seen = await reported(shop)
            return seen if len([one for one in seen if one.status == 200]) >= 3 else None

        await eventually(done)
        assert [one.cart_id for one in await shop.events(CartUpdated)] == ["c1"]
        assert [one.product_id for one in await shop.events(ProductViewed)] == ["sku-1"]

    async def away(name):
        return [one for one in await reported(shop) if (one.status, one.sender) == (503, name)]

    for name in ("kafka_gone", "kafka_erp", "kafka_web"):
        assert "tried again in" in (await eventually(lambda name=name: away(name)))[0].reason
