"""Endpoints that fail: tried again, given up, asked for patience, disabled; and none of it slows another partner."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Money
from mesh.events.cart import CartLine
from mesh.events.order import OrderConfirmed
from mesh.events.webhook import WebhookDisabled
from services.webhooks.endpoint_health import Failing
from tests.partner_endpoint import status

LINE = CartLine(product_id="sku-1", quantity=2, price=Money(amount=1299, currency="EUR"))


def order(id_):
    return OrderConfirmed(order_id=id_, lines=(LINE,), total=Money(amount=2598, currency="EUR"))


async def never(_count, _writer):
    await asyncio.sleep(60)


async def test_what_is_not_taken_is_tried_again_and_given_up_at_last(place):
    """With one id and body; the log says when the next attempt is; nothing waits for a delivery that was given up."""
    place.endpoint.answers["/hook"] = lambda _, __: status(503)
    await place.webhook()

    await place.mesh.publish(order("o1"))
    attempts = await place.noted("failed", "failed", "failed", "given_up")

    assert [one.attempt for one in attempts] == [1, 2, 3, 4]
    assert [one.next_attempt is None for one in attempts] == [False, False, False, True]
    assert {(one.status, one.error) for one in attempts} == {(503, "answered 503")}
    assert len({(one.headers["webhook-id"], one.body) for one in place.endpoint.requests}) == 1
    assert await place.pending() == 0


async def test_an_endpoint_that_asks_for_time_gets_it(place):
    """Retry-After of a 429 is later than the schedule, and obeyed; that of a 500 is not."""
    place.endpoint.answers["/busy"] = lambda count, _: status(429, Retry_After="1") if count == 1 else status(200)
    place.endpoint.answers["/broken"] = lambda count, _: status(500, Retry_After="100") if count == 1 else status(200)
    await place.webhook("/busy")
    await place.webhook("/broken")

    await place.mesh.publish(order("o1"))
    busy, broken = await place.arrived(2, "/busy"), await place.arrived(2, "/broken")

    assert busy[1].at - busy[0].at > 0.9
    assert broken[1].at - broken[0].at < 30


async def test_an_endpoint_that_is_gone_is_disabled_at_once(place):
    """410: the webhook says so, an alarm is stored, and what happens from then on is not sent."""
    place.endpoint.answers["/hook"] = lambda _, __: status(410)
    webhook, _ = await place.webhook()

    await place.mesh.publish(order("o1"))
    await place.eventually(lambda: not place.managing.find(webhook.id).active)
    await place.mesh.publish(order("o2"))
    await place.webhook("/other")
    await place.mesh.publish(order("o3"))
    await place.arrived(1, "/other")

    assert "answered 410" in place.managing.find(webhook.id).disabled
    (alarm,) = [one.event async for one in place.mesh.read(WebhookDisabled)]
    assert (alarm.webhook_id, alarm.name) == (webhook.id, "Warehouse")
    assert len(place.endpoint.of()) == 1


async def test_an_endpoint_that_failed_for_days_is_disabled_and_enabled_again(open_place):
    """Not before; and a process that has just started knows since when."""
    place = await open_place(WEBHOOK_RETRIES="20ms,20ms,20ms", WEBHOOK_DISABLED_AFTER="120h")
    healthy = False
    place.endpoint.answers["/hook"] = lambda _, __: status(200 if healthy else 500)
    webhook, _ = await place.webhook()
    await place.mesh.publish(order("o1"))
    await place.noted(*["failed"] * 3, "given_up")
    assert place.managing.find(webhook.id).active
    long_ago = Failing(since=datetime.now(UTC) - timedelta(days=6))
    await place.managing.health._state.put(webhook.id, long_ago)
    await place.managing.health.load()

    await place.managing.send_test(webhook.id)
    await place.eventually(lambda: not place.managing.find(webhook.id).active)
    reason = place.managing.find(webhook.id).disabled
    healthy = True
    await place.managing.enable(webhook.id, "tests")
    await place.eventually(lambda: place.managing.webhooks.active(webhook.id))

    assert "took nothing for 5 days: answered 500" in reason
    assert place.managing.health.failing == {}


async def test_a_dead_partner_slows_nobody(open_place):
    """One of three never answers: the others get each event while the first attempts at the dead one still wait."""
    place = await open_place(WEBHOOK_DEADLINE="50s")
    end = asyncio.Event()

    async def dead(_count, _writer):
        await end.wait()

    place.endpoint.answers["/dead"] = dead
    (silent, _), *_ = [await place.webhook(path) for path in ("/dead", "/a", "/b")]

    for number in range(60):
        await place.mesh.publish(order(f"o{number}"))
    await place.arrived(60, "/a")
    await place.arrived(60, "/b")

    assert await place.attempts(silent.id) == []
    assert 0 < len(place.endpoint.of("/dead")) <= 16
    end.set()


async def test_an_endpoint_that_keeps_failing_is_tried_with_one_delivery_at_a_time(open_place):
    """After five failures the others go back to the server, and come when it is tried again."""
    place = await open_place(WEBHOOK_RETRIES="10s", WEBHOOK_CONNECTIONS="4")
    place.endpoint.answers["/hook"] = lambda _, __: status(500)
    await place.webhook()

    for number in range(40):
        await place.mesh.publish(order(f"o{number}"))

    async def all_wait():
        return await place.pending() == 40

    await place.eventually(all_wait)
    assert 5 <= len(place.endpoint.of()) <= 12


async def test_a_throttle_holds(place):
    """At most so many a second, and none is lost."""
    await place.webhook(throttle=20)

    for number in range(12):
        await place.mesh.publish(order(f"o{number}"))
    requests = await place.arrived(12)

    assert requests[11].at - requests[0].at > 0.3
    assert len({one.headers["webhook-id"] for one in requests}) == 12


async def slow_body(_count, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.3)


async def endless_body(_count, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(160_000):
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def endless_head(_count, writer):
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 8000 + b"\r\n")
        await writer.drain()


async def slow_head(_count, writer):
    for one in b"HTTP/1.1 200 OK\r\n" * 100:
        writer.write(bytes([one]))
        await writer.drain()
        await asyncio.sleep(0.2)


def closed(_count, writer):
    writer.transport.abort()


ODD = {
    "/slow-body": (slow_body, "delivered", None),
    "/10-gigabytes": (endless_body, "delivered", None),
    "/endless-head": (endless_head, "failed", ""),
    "/slow-head": (slow_head, "failed", "no answer within 2 s"),
    "/never": (never, "failed", "no answer within 2 s"),
    "/closed": (closed, "failed", "the server disconnected without an answer"),
    "/redirect": (
        lambda _, __: status(302, Location="http://169.254.169.254/"),
        "failed",
        "redirects are not followed",
    ),
    "/no-http": (lambda _, __: b"SSH-2.0-OpenSSH_9\r\n\r\n", "failed", ""),
    "/1xx": (lambda _, __: b"HTTP/1.1 103 Early Hints\r\n\r\n" + status(200), "delivered", None),
}


async def test_odd_answers_are_bounded(open_place):
    """A byte a second, ten gigabytes, a head without end, no answer, a redirect, no HTTP: in time, and in memory."""
    place = await open_place(WEBHOOK_RETRIES="1h", WEBHOOK_DEADLINE="2s")
    by_id = {}
    for path, (answer, _, _) in ODD.items():
        place.endpoint.answers[path] = answer
        webhook, _ = await place.webhook(path)
        by_id[webhook.id] = path

    begun = asyncio.get_running_loop().time()
    await place.mesh.publish(order("o1"))

    async def all_noted():
        return len(await place.attempts()) == len(ODD)

    await place.eventually(all_noted)
    assert asyncio.get_running_loop().time() - begun < 30
    for one in await place.attempts():
        path = by_id[one.webhook_id]
        _, outcome, words = ODD[path]
        assert (path, one.outcome, (words or "") in (one.error or "")) == (path, outcome, True), one
        assert len(one.answer or "") <= 300
    assert not any("169.254" in one.path for one in place.endpoint.requests)


async def test_what_was_due_when_a_process_ended_is_delivered_by_the_next(open_place, monkeypatch):
    """The server has a timer for what a process had begun and not finished."""
    first = await open_place(WEBHOOK_LEASE="2s", WEBHOOK_DEADLINE="1s")
    held = asyncio.Event()
    taken = []

    async def hang(count, _):
        taken.append(count)
        if count == 1:
            held.set()
            await asyncio.sleep(60)
        return status(200)

    first.endpoint.answers["/hook"] = hang
    await first.webhook()
    await first.mesh.publish(order("o1"))
    await held.wait()
    for task in asyncio.all_tasks():
        if "Deliverer._work" in repr(task.get_coro()):
            task.cancel()  # as if the process ended here: nothing is noted

    second = await open_place(first.regions)

    requests = await first.arrived(2)
    assert len({one.headers["webhook-id"] for one in requests}) == 1
    await second.eventually(lambda: len(taken) == 2)


@pytest.mark.parametrize("given", ["1", "Thu, 01 Jan 2099 00:00:00 GMT", "-5", "soon", "999999999999", "1.5", "²"])
def test_retry_after_is_read_or_left(given):
    """Seconds or a date; bounded where it is used, and anything else counts as absent."""
    from mesh.web.retry_after import retry_after
    from services.webhooks.retry_schedule import next_attempt

    now = datetime.now(UTC)
    asked = retry_after(given, now)
    due = next_attempt(1, [timedelta(seconds=5)], now=now, retry_after=asked, longest=timedelta(hours=24))

    assert (asked is not None) == (given in ("1", "Thu, 01 Jan 2099 00:00:00 GMT"))
    assert timedelta(seconds=5) <= due - now <= timedelta(hours=24)
