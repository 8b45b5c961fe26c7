"""Carts and orders over HTTP: commits, timers and their order, and what counts once."""

from datetime import UTC, datetime

import pytest

from mesh.envelope import decode
from mesh.events.cart import CartConverted, CartUpdated
from mesh.events.order import OrderConfirmed, OrderPlaced, PurchaseMarked
from mesh.profiles import names_of, visitor_digest
from tests.stories.gateway.conftest import LINE, cart, confirmed, order, stored, timers


async def test_a_cart_and_its_timer_are_one_commit(post, regions):
    """A filled cart waits to be left; an emptied one no longer does."""
    await post(cart())
    assert list(timers(regions)) == ["timer.us.cart.idle.c1"]

    await post(cart("e2", lines=[]))

    assert timers(regions) == {}


async def test_an_order_ends_its_carts_timer(post, regions, gateway):
    """An order converts its cart and cancels the timer in its own commit."""
    await post(cart(), order())

    history = await gateway.history("c1", "cart")
    assert [type(received.event).__name__ for received in history] == ["CartUpdated", "CartConverted"]
    assert timers(regions) == {}


async def test_an_order_is_reported_once(post, gateway):
    """A page that reports an order of its own again, under a new event id, changes nothing."""
    await post(order())

    answer = await post(order("e10"))

    assert answer.json() == {"accepted": 1, "duplicates": 1, "rejected": []}
    assert len(await stored(gateway, OrderPlaced)) == 1


async def test_an_order_is_confirmed_once_for_ever(settings, open_gateway, gateway):
    """By one event of the shop's server; as placed it is stored where no page has reported it."""
    settings(server_keys="secret")
    client = await open_gateway()

    async def send(event, key="secret"):
        headers = {"authorization": f"Bearer {key}"}
        return (await client.post("/v1/events", json={"events": [event]}, headers=headers)).json()

    await send(order(), "demo")
    reported, unreported = confirmed("e10"), confirmed("e11", order_id="o2", cart_id="c2")
    answers = [await send(event) for event in (reported, unreported, reported, confirmed("e12"))]

    assert [answer["accepted"] for answer in answers] == [1, 1, 1, 0]
    assert [answer["duplicates"] for answer in answers] == [0, 0, 1, 0]
    (refused,) = answers[3]["rejected"]
    reason = "this order was confirmed before, by an event with another id"
    assert (refused["path"], refused["reason"]) == ("$.order_id", reason)
    assert [(one.event.order_id, one.event.by) for one in await stored(gateway, OrderPlaced)] == [
        ("o1", "page"),
        ("o2", "server"),
    ]
    assert [one.event.order_id for one in await stored(gateway, OrderConfirmed)] == ["o1", "o2"]
    assert [one.event.cart_id for one in await stored(gateway, CartConverted)] == ["c1", "c2"]


async def test_an_order_is_placed_once_whoever_reports_it(settings, open_gateway, gateway):
    """A page's report without the customer and the server's with it, in either order, are one placed order."""
    settings(server_keys="secret")
    client = await open_gateway()

    async def send(event, key="secret"):
        headers = {"authorization": f"Bearer {key}"}
        answer = await client.post("/v1/events", json={"events": [event]}, headers=headers)
        assert answer.json()["accepted"] == 1

    await send(order("e1", order_id="o1"), "demo")
    await send(confirmed("e2", order_id="o1", customer_id="ada"))
    await send(confirmed("e3", order_id="o2", customer_id="ada"))
    await send(order("e4", order_id="o2"), "demo")

    assert [one.event.order_id for one in await stored(gateway, OrderPlaced)] == ["o1", "o2"]
    ada, device = names_of("ada")[0], visitor_digest("v1")
    assert {one.event.shopper for one in await stored(gateway, PurchaseMarked)} == {ada, device}


async def test_an_old_cart_does_not_disturb_a_newer_one(post, regions):
    """What was sent late is stored, but the newer cart's timer stays; also when the old one is an emptied cart."""
    await post(cart("new"))
    before = timers(regions)

    answers = [
        await post(cart("old", ago=120)),
        await post(cart("older", ago=180, lines=[])),
        await post(cart("o", ago=1, lines=[])),
    ]

    assert [answer.json()["accepted"] for answer in answers] == [1, 1, 1]
    assert timers(regions) == before


async def test_the_timer_counts_from_when_it_happened(post, regions, settings):
    """A cart that was under way for ten minutes is left ten minutes earlier, but never in the past."""
    await post(cart("e1", cart_id="c1"), cart("e2", cart_id="c2", ago=600), cart("e3", cart_id="c3", ago=7200))

    now, commerce = datetime.now(UTC), regions.regions["us"].logs["COMMERCE_us"]
    due = {
        m.subject[-2:]: (decode(m.body)[0].time - now).total_seconds()
        for m in commerce.messages.values()
        if m.subject.startswith("timer.")
    }
    assert due == {"c1": pytest.approx(1800, abs=5), "c2": pytest.approx(1200, abs=5), "c3": pytest.approx(5, abs=3)}


async def test_events_of_one_cart_keep_their_order(post, gateway):
    """Many updates of one cart in a request are stored in the order in which they were sent."""
    await post(*(cart(f"e{n}", lines=[LINE | {"quantity": n + 1}]) for n in range(50)))

    assert [r.event.lines[0].quantity for r in await stored(gateway, CartUpdated)] == list(range(1, 51))


async def test_carts_and_orders_of_one_request_share_batches(post, memory_broker, monkeypatch, gateway):
    """Commits that do not touch each other are stored in one atomic batch; each event still has its own outcome."""
    await post(cart("used", cart_id="c0"))
    batches, store_batch = [], memory_broker.store_batch

    async def counted(stream, messages):
        batches.append(len(messages))
        return await store_batch(stream, messages)

    monkeypatch.setattr(memory_broker, "store_batch", counted)
    new = [cart(f"e{n}", cart_id=f"c{n}") for n in range(1, 21)]
    fresh = await post(*new, order("e-order", order_id="o-new", cart_id="c21"))
    grouped = list(batches)
    mixed = await post(
        cart("used", cart_id="c-other"),
        cart("e-last", cart_id="c22"),
        cart("bad", cart_id="c23", lines=[LINE, LINE | {"price": {"amount": 1, "currency": "USD"}}]),
    )

    assert (fresh.json()["accepted"], fresh.json()["rejected"]) == (21, [])
    assert sum(grouped) == 20 * 2 + 3
    assert len(grouped) < 21 / 2
    assert mixed.json()["accepted"] == 1
    assert [(one["id"], one["path"]) for one in mixed.json()["rejected"]] == [
        ("used", "$.id"),
        ("bad", "$.lines"),
    ]
    assert await gateway.last(CartUpdated, "c22")


async def test_a_late_update_behind_a_late_one_leaves_a_newer_cart_alone(post, regions):
    """The newest by place may have come late itself: what is newer by time stands before it."""
    await post(cart("new"))
    before = timers(regions)

    await post(cart("late", ago=300))
    await post(cart("less-late", ago=200, lines=[]))

    assert timers(regions) == before
