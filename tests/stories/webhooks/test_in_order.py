"""Strict order for each key, and replays: what is next comes from the streams, whatever ends in between."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Money
from mesh.errors import InvalidField
from mesh.events.cart import CartLine
from mesh.events.order import OrderCancelled, OrderConfirmed, OrderRefunded
from mesh.events.shipment import ShipmentDelivered, ShipmentDispatched
from mesh.events.stock import StockReplenished
from tests.partner_endpoint import status

EURO = Money(amount=2598, currency="EUR")
LINE = CartLine(product_id="sku-1", quantity=2, price=Money(amount=1299, currency="EUR"))


def life(id_):
    """What happens to an order, in this order."""
    return [
        OrderConfirmed(order_id=id_, lines=(LINE,), total=EURO),
        ShipmentDispatched(order_id=id_),
        ShipmentDelivered(order_id=id_),
        OrderRefunded(order_id=id_, refunded=EURO),
        OrderCancelled(order_id=id_, lines=(), amount=EURO, left=(), total=EURO, by="shop"),
    ]


def kinds(requests, subject):
    return [one.event["type"] for one in requests if one.event["subject"] == subject]


LIFE = [
    "order.confirmed.v1",
    "shipment.dispatched.v1",
    "shipment.delivered.v1",
    "order.refunded.v1",
    "order.cancelled.v1",
]


async def test_the_events_of_one_order_come_one_after_the_other(place):
    """What is not taken holds up those behind it, and nothing of other orders."""
    taken, failures = [], 0

    async def answer(_count, _writer):
        nonlocal failures
        newest = place.endpoint.requests[-1].event
        await asyncio.sleep(0.01)
        if newest["type"] == "shipment.dispatched.v1" and newest["subject"] == "o1" and failures < 2:
            failures += 1
            return status(500)
        taken.append((newest["subject"], newest["type"]))
        return status(200)

    place.endpoint.answers["/hook"] = answer
    await place.webhook(ordered=True)

    for number in range(5):
        for id_ in ("o1", "o2", "o3"):
            await place.mesh.publish(life(id_)[number])
    await place.eventually(lambda: len(taken) == 15)

    assert {id_: [kind for key, kind in taken if key == id_] for id_ in ("o1", "o2", "o3")} == {
        "o1": LIFE,
        "o2": LIFE,
        "o3": LIFE,
    }
    assert failures == 2
    attempts = await place.attempts()
    assert [one.attempt for one in attempts if one.event_type == "shipment.dispatched.v1"].count(3) == 1


async def test_what_was_not_begun_is_not_overtaken_after_a_process_ended(open_place):
    """Strict order holds although deliveries come again in any order."""
    first = await open_place(WEBHOOK_LEASE="2s", WEBHOOK_DEADLINE="1s", WEBHOOK_RETRIES="20ms")
    working = False
    first.endpoint.answers["/hook"] = lambda _, __: status(200) if working else None
    await first.webhook(ordered=True)
    for event in life("o1")[:3]:
        await first.mesh.publish(event)
    await first.arrived(1)
    for task in asyncio.all_tasks():
        if "Deliverer._work" in repr(task.get_coro()):
            task.cancel()  # as if the process ended here
    working = True

    second = await open_place(first.regions, WEBHOOK_LEASE="2s", WEBHOOK_DEADLINE="1s", WEBHOOK_RETRIES="20ms")
    for event in life("o1")[3:]:
        await second.mesh.publish(event)

    async def all_delivered():
        done = [one.event_type for one in await first.attempts() if one.outcome == "delivered"]
        return done if len(done) >= 5 else None

    assert await first.eventually(all_delivered) == LIFE


async def test_strict_order_begins_with_the_webhook(place):
    """What happened before it was made is not sent."""
    await place.mesh.publish(life("o1")[0])
    await place.webhook(ordered=True)
    await place.mesh.publish(life("o1")[1])
    await place.mesh.publish(StockReplenished(sku="o1", available=3))

    await place.arrived(2)

    assert sorted(kinds(place.endpoint.requests, "o1")) == ["shipment.dispatched.v1", "stock.replenished.v1"]


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_time_is_replayed(place, ordered):
    """With the same ids; what was before that time is not sent again."""
    await place.webhook(types=("order.confirmed.v1", "order.refunded.v1"), ordered=ordered)
    await place.mesh.publish(OrderConfirmed(order_id="old", lines=(LINE,), total=EURO))
    await place.arrived(1)
    await place.noted("delivered")
    since = datetime.now(UTC)
    for number in range(3):
        await place.mesh.publish(life(f"o{number}")[0])
        await place.mesh.publish(life(f"o{number}")[3])
    await place.arrived(7)
    await place.noted(*["delivered"] * 7)
    (webhook,) = [one.webhook for one in place.managing.webhooks]

    await place.managing.replay(webhook.id, since, datetime.now(UTC), "tests")
    requests = await place.arrived(13)
    await place.noted(*["delivered"] * 13)

    first, again = ([one.headers["webhook-id"] for one in part] for part in (requests[1:7], requests[7:]))
    assert sorted(first) == sorted(again)
    assert kinds(requests, "old") == ["order.confirmed.v1"]
    if ordered:
        assert kinds(requests[7:], "o1") == ["order.confirmed.v1", "order.refunded.v1"]
    else:
        assert {one.origin for one in (await place.attempts())[7:]} == {"replay"}


async def test_one_delivery_of_the_log_is_sent_again(place):
    """As it stands in the streams; a test is not."""
    webhook, _ = await place.webhook()
    await place.mesh.publish(life("o1")[0])
    (attempt,) = await place.noted("delivered")

    await place.managing.send_again(webhook.id, attempt.delivery_id)
    first, again = await place.arrived(2)
    await place.noted("delivered", "delivered")
    await place.managing.send_test(webhook.id)
    *_, test = await place.noted(*["delivered"] * 3)

    assert (first.headers["webhook-id"], first.body) == (again.headers["webhook-id"], again.body)
    with pytest.raises(InvalidField, match="no such delivery, or it was a test"):
        await place.managing.send_again(webhook.id, test.delivery_id)


async def test_a_replay_is_of_a_time_that_there_was(place):
    """Its end is after its begin, and it is not of years."""
    webhook, _ = await place.webhook()
    now = datetime.now(UTC)

    for since, until in ((now, now), (now, now - timedelta(1)), (now - timedelta(32), now)):
        with pytest.raises(InvalidField):
            await place.managing.replay(webhook.id, since, until, "tests")
