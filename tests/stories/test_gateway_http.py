"""The gateway over HTTP: what a storefront is answered, and what is stored afterwards."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from litestar.testing import AsyncTestClient

from mesh import Mesh
from mesh.envelope import decode
from mesh.errors import DeclarationError, Unavailable
from mesh.events.cart import CartConverted, CartIdle, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.order import OrderConfirmed, OrderPlaced, PurchaseMarked
from mesh.events.product import ProductListed
from mesh.profiles import names_of, visitor_digest
from mesh.web.health import health_app

KEY = {"authorization": "Bearer demo"}
LINE = {"product_id": "sku-1", "quantity": 2, "price": {"amount": 1299, "currency": "EUR"}}


def cart(id_="e1", *, cart_id="c1", ago=0.0, **more):
    time = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    return {
        "id": id_,
        "type": "cart_updated",
        "time": time,
        "visitor_id": "v1",
        "cart_id": cart_id,
        "lines": [LINE],
        **more,
    }


def order(id_="e9", *, order_id="o1", cart_id="c1", **more):
    return cart(id_, cart_id=cart_id, order_id=order_id, total=LINE["price"], **more) | {"type": "order_placed"}


def confirmed(id_="e10", **more):
    return order(id_, **more) | {"type": "order_confirmed"}


def view(id_, product_id="sku-1"):
    return {
        "id": id_,
        "type": "product_viewed",
        "time": datetime.now(UTC).isoformat(),
        "visitor_id": "v1",
        "product_id": product_id,
    }


@pytest.fixture
def settings(monkeypatch):
    """Set the gateway's settings before it is opened."""

    def change(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"CARTMESH_{name.upper()}", str(value))

    return change


@pytest.fixture
async def gateway(memory_broker):
    return Mesh(memory_broker, "gateway", others=("eu",))


@pytest.fixture
async def open_gateway(gateway, gateway_client):
    """Open the gateway once its settings are made."""
    async with AsyncExitStack() as stack:

        async def opened():
            return await stack.enter_async_context(gateway_client(gateway))

        yield opened


@pytest.fixture
async def post(open_gateway):
    """Send events, get the answer."""
    client = await open_gateway()

    async def send(*events, headers=KEY):
        return await client.post("/v1/events", json={"events": events}, headers=headers)

    return send


async def stored(gateway, *kinds):
    return [received async for received in gateway.read(*kinds)]


def timers(regions):
    """What is scheduled, newest per subject."""
    commerce = regions.regions["us"].logs["COMMERCE_us"]
    return {m.subject: decode(m.body)[1] for m in commerce.messages.values() if m.subject.startswith("timer.")}


async def test_accepted_means_stored(post, gateway):
    """202 counts what JetStream has acknowledged; it is in the streams when the answer comes."""
    answer = await post(cart(), view("e2"))

    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "duplicates": 0, "rejected": []})
    assert [received.event.cart_id for received in await stored(gateway, CartUpdated)] == ["c1"]
    assert [received.event.product_id for received in await stored(gateway, ProductViewed)] == ["sku-1"]


async def test_the_answer_says_what_was_wrong_with_each_event(post, gateway):
    """422 where nothing was taken: the missing field by its path, a bare price with what to write instead."""
    nobody = {name: value for name, value in view("e1").items() if name != "visitor_id"}
    cheap = cart("e2") | {"lines": [{"product_id": "sku-1", "quantity": 1, "price": 1299}]}

    answer = await post(nobody, cheap)

    first, second = answer.json()["rejected"]
    assert (answer.status_code, answer.json()["accepted"]) == (422, 0)
    assert (first["path"], first["reason"]) == ("$.visitor_id", "missing required field `visitor_id`")
    assert (second["path"], "minor units" in second["reason"]) == ("$.lines[0].price", True)
    assert await stored(gateway, CartUpdated, ProductViewed) == []


async def test_one_event_that_is_taken_makes_it_202_and_unknown_fields_are_named(post, gateway):
    """Beside a rejected event; the field that nothing reads costs nothing but is named with its path."""
    answer = await post(view("e1") | {"colour": "red"}, {"id": "e2"})

    body = answer.json()
    assert (answer.status_code, body["accepted"], [one["index"] for one in body["rejected"]]) == (202, 1, [1])
    assert [(one["index"], one["path"], one["reason"]) for one in body["ignored"]] == [(0, "$.colour", "unknown field")]
    assert len(await stored(gateway, ProductViewed)) == 1


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


async def test_sending_again_changes_nothing(post, gateway):
    """Duplicates by id are accepted again, without a second effect."""
    events = [cart(), view("e2"), order()]
    await post(*events)

    answer = await post(*events)

    assert answer.json() == {"accepted": 3, "duplicates": 3, "rejected": []}
    assert [len(await stored(gateway, kind)) for kind in (CartUpdated, ProductViewed, OrderPlaced)] == [1, 1, 1]


async def test_the_same_id_with_another_body_is_refused(post, gateway):
    """An id names one event for ever: another body under it is rejected, for carts, views and orders alike."""
    first = [cart(), view("e2"), order()]
    await post(*first)

    answer = await post(
        first[0] | {"cart_id": "c2"}, first[1] | {"product_id": "sku-2"}, first[2] | {"visitor_id": "v2"}
    )

    refused = answer.json()["rejected"]
    assert [(one["id"], one["path"]) for one in refused] == [("e1", "$.id"), ("e2", "$.id"), ("e9", "$.id")]
    assert all("used before" in one["reason"] for one in refused)
    assert await gateway.last(CartUpdated, "c2") is None


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


async def test_a_late_retry_is_recognised_behind_the_duplicate_window(post, regions, gateway):
    """A phone that sends again after JetStream has forgotten the id has no second effect."""
    events = [cart(ago=600), order(ago=590), view("e2") | {"time": cart(ago=600)["time"]}]
    await post(*events)
    for log in regions.regions["us"].logs.values():
        log._ids.clear()

    answer = await post(*events)

    assert answer.json() == {"accepted": 3, "duplicates": 3, "rejected": []}
    assert [len(await stored(gateway, kind)) for kind in (CartUpdated, ProductViewed, OrderPlaced)] == [1, 1, 1]


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


async def test_two_storefronts_may_use_the_same_id(settings, open_gateway, gateway):
    """Ids are a write key's own."""
    settings(write_keys="one,two")
    client = await open_gateway()

    for key in ("one", "two"):
        answer = await client.post("/v1/events", json={"events": [cart()]}, headers={"authorization": f"Bearer {key}"})
        assert answer.json() == {"accepted": 1, "duplicates": 0, "rejected": []}

    assert len(await stored(gateway, CartUpdated)) == 2


async def test_only_the_shops_servers_say_what_is_in_stock(settings, open_gateway, gateway):
    """A listing is stored with a server key in the header, and with no other key and nowhere else."""
    listed = view("e1") | {"type": "product_listed", "available": False}
    listed.pop("visitor_id")
    settings(server_keys="secret")
    client = await open_gateway()

    async def listed_with(key, path="/v1/events"):
        return await client.post(path, json={"events": [listed]}, headers={"authorization": f"Bearer {key}"})

    public = await listed_with("demo")
    in_the_address = await client.post("/v1/events?key=secret", json={"events": [listed]})
    assert (public.json()["accepted"], in_the_address.status_code) == (0, 401)
    assert public.json()["rejected"][0]["path"] == "$.type"
    assert await stored(gateway, ProductListed) == []

    assert (await listed_with("secret")).json() == {"accepted": 1, "duplicates": 0, "rejected": []}
    (kept,) = await stored(gateway, ProductListed)
    assert (kept.event.product_id, kept.event.available) == ("sku-1", False)


async def test_a_server_key_is_no_public_key(settings, open_gateway):
    """A key that is set as both opens no gateway: every visitor would know the shop's secret."""
    settings(write_keys="demo,secret", server_keys="secret")

    with pytest.raises(DeclarationError, match="CARTMESH_SERVER_KEYS"):
        await open_gateway()


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic demo", "demo"])
async def test_without_a_key_nothing_is_taken(open_gateway, gateway, header):
    """401 says how to authenticate, and nothing is stored."""
    client = await open_gateway()

    answer = await client.post(
        "/v1/events", json={"events": [cart()]}, headers={"authorization": header} if header else {}
    )

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert await stored(gateway, CartUpdated) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"events": 7}', b"\xff\xfe", b"[" * 100_000])
async def test_malformed_json_is_400(open_gateway, body):
    """What is no list of events is refused as a problem with words."""
    client = await open_gateway()

    answer = await client.post("/v1/events", content=body, headers=KEY)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "the body must be" in answer.json()["detail"]


async def test_too_much_at_once_is_413(open_gateway, gateway):
    """Over 1 MiB or 500 events: nothing is stored, and the answer says to send several."""
    client = await open_gateway()

    many = await client.post("/v1/events", json={"events": [view(f"e{n}") for n in range(501)]}, headers=KEY)
    large = await client.post("/v1/events", content=b" " * (1024 * 1024 + 1), headers=KEY)

    assert (many.status_code, large.status_code) == (413, 413)
    assert "send several" in many.json()["detail"]
    assert "send several" in large.json()["detail"]
    assert await stored(gateway, ProductViewed) == []


async def test_exactly_500_events_are_welcome(post):
    """The bound itself is allowed."""
    assert (await post(*(view(f"e{n}") for n in range(500)))).json()["accepted"] == 500


async def test_too_many_events_a_second_are_429(settings, open_gateway):
    """A storefront over its rate is answered with when to come again, by key and by address."""
    settings(key_rate=1)
    client = await open_gateway()
    events = {"events": [view("e1"), view("e2")]}

    answers = [await client.post("/v1/events", json=events, headers=KEY) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 429]
    assert 1 <= int(answers[1].headers["retry-after"]) <= 3


async def test_guessing_keys_uses_up_an_addresss_allowance(settings, open_gateway):
    """Wrong keys are not free."""
    settings(address_rate=1)
    client = await open_gateway()

    answers = [await client.post("/v1/events", json={}, headers={"authorization": "Bearer no"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]


async def test_who_sends_too_much_is_told_when_it_may_send(settings, open_gateway):
    """The text and `Retry-After` name the same whole seconds, and never none."""
    settings(address_rate=1, key_rate=1)
    client = await open_gateway()
    await client.post("/v1/events", json={"events": [view("e1"), view("e2")]}, headers=KEY)

    answer = await client.post("/v1/events", json={"events": [view("e3")]}, headers=KEY)

    assert answer.status_code == 429
    seconds = int(answer.headers["retry-after"])
    assert seconds >= 1
    assert f"can be sent in {seconds} s" in answer.json()["detail"]


async def test_a_second_line_of_forwarded_addresses_buys_no_allowance(settings, open_gateway):
    """Behind a proxy a client that writes addresses of its own is still counted by the one that the proxy saw."""
    settings(address_rate=1, trusted_proxies=1)
    client = await open_gateway()

    async def send(number):
        lines = [("x-forwarded-for", f"6.6.6.{number}"), ("x-forwarded-for", f"2001:db8::{number}"), *KEY.items()]
        return (await client.post("/v1/events", json={"events": [view(f"e{number}")]}, headers=lines)).status_code

    assert [await send(number) for number in range(3)] == [202, 202, 429]


async def test_a_servers_key_has_no_bound_by_address(settings, open_gateway):
    """All of a shop's orders come from one address."""
    settings(address_rate=1, server_keys="secret")
    client = await open_gateway()
    headers = {"authorization": "Bearer secret"}

    answers = [
        await client.post("/v1/events", json={"events": [view(f"e{number}")]}, headers=headers) for number in range(4)
    ]

    assert {answer.status_code for answer in answers} == {202}


async def test_large_events_are_bounded(settings, open_gateway, gateway):
    """By event, so that no cart costs every later decision a megabyte; and by bytes a second."""
    settings(address_bytes=100_000)
    client = await open_gateway()
    padded = [LINE | {"url": "https://shop.example/" + "x" * 1500} for _ in range(200)]
    large, small = cart("e1", lines=padded), cart("e2", lines=padded[:60])

    answers = [await client.post("/v1/events", json={"events": [one]}, headers=KEY) for one in (large, small, small)]

    assert [answer.status_code for answer in answers] == [422, 429, 429]
    (rejected,) = answers[0].json()["rejected"]
    assert (rejected["path"], rejected["reason"].startswith("at most 131072 bytes, not 3")) == ("$", True)
    assert await stored(gateway, CartUpdated) == []


async def test_an_emptied_cart_reads_only_its_newest_update(post, memory_broker, monkeypatch, regions):
    """However much was stored of a cart, emptying it costs one small read."""
    await post(*(cart(f"e{number}") for number in range(80)))
    read, opened = memory_broker.read, []

    def counted(stream, patterns, **more):
        opened.append(patterns)
        return read(stream, patterns, **more)

    monkeypatch.setattr(memory_broker, "read", counted)
    await post(cart("last", lines=[]))

    assert (opened, timers(regions)) == ([], {})


async def test_a_late_update_behind_a_late_one_leaves_a_newer_cart_alone(post, regions):
    """The newest by place may have come late itself: what is newer by time stands before it."""
    await post(cart("new"))
    before = timers(regions)

    await post(cart("late", ago=300))
    await post(cart("less-late", ago=200, lines=[]))

    assert timers(regions) == before


async def test_while_jetstream_is_down_nothing_is_accepted(settings, open_gateway, regions, gateway, eventually):
    """503 with Retry-After, never a 202 for what is not stored; the same request later is accepted once."""
    settings(store_patience="100ms")
    client, events = await open_gateway(), {"events": [cart(), view("e2")]}
    regions.stop("us")

    refused = await client.post("/v1/events", json=events, headers=KEY)
    unready = await client.get("/v1/updates")
    regions.start("us")
    accepted = await client.post("/v1/events", json=events, headers=KEY)

    assert (refused.status_code, unready.status_code) == (503, 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert accepted.json() == {"accepted": 2, "duplicates": 0, "rejected": []}
    await eventually(lambda: _is_ready(client), within=60)


async def _is_ready(client):
    return (await client.get("/v1/updates")).status_code == 200


async def test_half_a_request_stored_is_503_and_safe_to_repeat(open_gateway, settings, memory_broker, monkeypatch):
    """When one stream takes its events and the other does not, a retry with the same ids completes it."""
    settings(store_patience="50ms")
    client, events = await open_gateway(), {"events": [cart(), view("e2")]}
    with monkeypatch.context() as broken:

        async def refuse(*_):
            raise Unavailable("no quorum")

        broken.setattr(memory_broker, "store_batch", refuse)
        assert (await client.post("/v1/events", json=events, headers=KEY)).status_code == 503

    answer = await client.post("/v1/events", json=events, headers=KEY)

    assert answer.json() == {"accepted": 2, "duplicates": 1, "rejected": []}


async def test_a_gateway_that_is_full_says_so_at_once(settings, open_gateway):
    """What waits for JetStream in one process is bounded."""
    settings(events_at_once=1)
    client = await open_gateway()

    answer = await client.post("/v1/events", json={"events": [view("e1"), view("e2")]}, headers=KEY)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_only_configured_origins_may_read_answers(settings, open_gateway):
    """A page of a configured origin may call, another may not."""
    settings(cors_origins="https://shop.example")
    client = await open_gateway()

    def ask(origin):
        return client.options(
            "/v1/events",
            headers={
                "origin": origin,
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization",
            },
        )

    allowed, foreign = await ask("https://shop.example"), await ask("https://evil.example")

    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in foreign.headers


async def test_the_documentation_names_every_route_and_needs_no_internet(open_gateway):
    """The OpenAPI document has every route; the page loads nothing from elsewhere and may not."""
    client = await open_gateway()

    page, document = await client.get("/docs"), (await client.get("/docs/openapi.json")).json()

    assert "://" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    served = {path.replace(":str", "") for route in client.app.routes if (path := route.path)}
    assert set(document["paths"]) == {path for path in served if not path.startswith("/docs")}
    for path in (
        "/docs/static/docs.js",
        "/docs/static/swagger-ui/swagger-ui-bundle.js",
        "/docs/static/swagger-ui/swagger-ui.css",
    ):
        assert (await client.get(path)).status_code == 200


async def test_health_and_metrics_are_not_public(post, open_gateway, gateway):
    """What the gateway counts is read from the process's own port, where no storefront reaches."""
    client = await open_gateway()
    await post(view("e1"))

    assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")] == [404] * 3
    async with AsyncTestClient(health_app(gateway)) as health:
        assert 'cartmesh_gateway_events_total{outcome="accepted"}' in (await health.get("/metrics")).text


async def test_ids_that_are_no_tokens_cannot_reach_the_stream(open_gateway):
    """A visitor whose id is no token is refused on the stream as well."""
    client = await open_gateway()

    answer = await client.get("/v1/visitors/a.b/offers/live?key=demo")

    assert (answer.status_code, (await client.get("/v1/visitors/v1/offers/live")).status_code) == (400, 401)


async def test_two_requests_at_once_with_the_same_ids_have_one_effect(post, gateway):
    """A retry that overtakes its original is the same event."""
    events = [cart(), order(), view("e2")]

    answers = await asyncio.gather(*(post(*events) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {202}
    assert [len(await stored(gateway, kind)) for kind in (CartUpdated, OrderPlaced, ProductViewed, CartIdle)] == [
        1,
        1,
        1,
        0,
    ]
