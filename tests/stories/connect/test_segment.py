"""Calls of the Segment spec: what each means, whom it is about, when it was, and what cannot be taken."""

import gzip
import json
import zlib
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh
from mesh.events.cart import CartConverted, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.order import OrderConfirmed, OrderPlaced, OrderReportRefused
from mesh.money import Money
from tests.stories.connect.conftest import PAGE, SERVER, basic

TEA = {"product_id": "sku-1", "name": "Tea", "price": 12.99, "currency": "EUR", "quantity": 2}
ORDER = {"order_id": "o-1", "total": 25.98, "currency": "EUR", "products": [TEA]}


class Segment:
    """The gateway, as a library of Segment's sees it."""

    def __init__(self, client, mesh):
        self.client, self.mesh = client, mesh

    async def call(self, *calls, path="/v1/batch", key=PAGE, **more):
        return await self.client.post(path, json={"batch": calls, **more}, headers=basic(key))

    async def events(self, *kinds):
        return [received.event async for received in self.mesh.read(*kinds)]


@pytest.fixture
async def segment(regions, monkeypatch, gateway_client):
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", SERVER)
    async with AsyncExitStack() as stack:
        broker = regions.broker("us")
        stack.push_async_callback(broker.drain)
        mesh = Mesh(broker, "gateway", others=("eu",))
        yield Segment(await stack.enter_async_context(gateway_client(mesh)), mesh)


def track(event, properties=None, *, message="m-1", **more):
    return {
        "type": "track",
        "event": event,
        "messageId": message,
        "anonymousId": "a-1",
        "timestamp": datetime.now(UTC).isoformat(),
        "properties": TEA if properties is None else properties,
        **more,
    }


async def test_each_commerce_event_means_one_here(segment):
    """Segment's names, in any case, with the properties of its spec."""
    told = [
        ("Product Viewed", TEA, ProductViewed),
        (" product  viewed", {"sku": "sku-1"}, ProductViewed),
        ("Products Searched", {"query": "tea"}, ProductSearched),
        ("Product Added", TEA | {"cart_id": "c-1"}, CartUpdated),
        ("Product Removed", TEA | {"cart_id": "c-2"}, CartUpdated),
        ("Cart Viewed", {"cart_id": "c-3", "products": [TEA]}, CartUpdated),
        ("Checkout Started", {"order_id": "o-1", "products": [TEA]}, CheckoutStarted),
        ("Order Completed", ORDER, OrderPlaced),
    ]
    answer = await segment.call(*(track(name, what, message=f"m-{at}") for at, (name, what, _) in enumerate(told)))

    assert (answer.status_code, answer.json()["accepted"], answer.json()["rejected"]) == (200, 8, [])
    kinds = [kind for _, _, kind in told]
    for kind in set(kinds):
        assert [one.visitor_id for one in await segment.events(kind)] == ["a-1"] * kinds.count(kind)


async def test_single_calls_are_taken_at_their_own_addresses(segment):
    """As `/v1/track`, and under the short name that browsers use."""
    for path in ("track", "t"):
        call = track("Product Viewed", message=path)
        assert (await segment.client.post(f"/v1/{path}", json=call, headers=basic(PAGE))).status_code == 200

    assert len(await segment.events(ProductViewed)) == 2


async def test_what_is_added_and_removed_is_one_whole_cart(segment):
    """Without a cart's id it is the visitor's one cart; an order ends it."""
    await segment.call(
        track("Product Added", message="m-1"),
        track("Product Added", TEA | {"product_id": "sku-2", "quantity": 1}, message="m-2"),
        track("Product Removed", TEA | {"quantity": 1}, message="m-3"),
    )
    newest = (await segment.events(CartUpdated))[-1]
    await segment.call(track("Order Completed", ORDER, message="m-4"))

    assert {line.product_id: line.quantity for line in newest.lines} == {"sku-1": 1, "sku-2": 1}
    assert [one.cart_id for one in await segment.events(CartConverted)] == [newest.cart_id]


async def test_decimal_amounts_become_minor_units_of_their_currency(segment):
    """Exactly: two places for euros, none for yen, three for dinars."""
    told = {
        (12.99, "EUR"): Money(amount=1299, currency="EUR"),
        ("12.99", "eur"): Money(amount=1299, currency="EUR"),
        (1299, "JPY"): Money(amount=1299, currency="JPY"),
        (1.5, "KWD"): Money(amount=1500, currency="KWD"),
        (25.979999999999997, "EUR"): Money(amount=2598, currency="EUR"),
        (0, "EUR"): Money(amount=0, currency="EUR"),
    }
    for at, (price, currency) in enumerate(told):
        await segment.call(track("Product Viewed", TEA | {"price": price, "currency": currency}, message=f"m-{at}"))

    assert [one.price for one in await segment.events(ProductViewed)] == list(told.values())


async def test_a_bad_field_is_refused_with_its_place_and_spoils_nothing_else(segment):
    """Nothing is guessed; the call beside them is stored."""
    wrong = [
        ({"price": "12,99"}, "$.properties.price"),
        ({"price": 12.999}, "$.properties.price"),
        ({"price": "NaN"}, "$.properties.price"),
        ({"price": True}, "$.properties.price"),
        ({"price": None}, "$.properties.price"),
        ({"price": 1e300}, "$.properties.price"),
        ({"price": -1}, "$.price.amount"),
        ({"currency": None}, "$.properties.currency"),
        ({"currency": "EURO"}, "$.price.currency"),
        ({"currency": "\u0000"}, "$.price.currency"),
        ({"product_id": ""}, "$.properties.product_id"),
        ({"product_id": {"a": 1}}, "$.properties.product_id"),
        ({"quantity": "two"}, "$.properties.quantity"),
        ({"quantity": -1}, "$.quantity"),
        ({"quantity": 10**30}, "$.quantity"),
    ]
    calls = [
        track("Product Added", TEA | change | {"cart_id": f"c-{at}"}, message=f"m-{at}")
        for at, (change, _) in enumerate(wrong)
    ]
    body = json.dumps({"batch": [*calls, track("Product Viewed", message="right")]})
    answer = await segment.client.post("/v1/batch", content=body, headers=basic(PAGE))

    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    refused = [(one["index"], one["path"]) for one in answer.json()["rejected"]]
    assert refused == [(at, path) for at, (_, path) in enumerate(wrong)]


async def test_a_call_without_who_when_or_id_is_400(segment):
    """Alone in its request, so that the library's log says what is wrong."""
    changes = [
        {"messageId": None},
        {"messageId": ""},
        {"anonymousId": None},
        {"anonymousId": ["a"]},
        {"timestamp": "yesterday"},
        {"timestamp": "2026-05-01T12:00:00"},
        {"timestamp": 5},
        {"timestamp": "0001-01-01T00:00:00+14:00"},
        {"timestamp": "9999-12-31T23:59:59-14:00", "sentAt": "2020-01-01T00:00:00Z"},
        {"timestamp": "2026-13-41T00:00:00Z"},
        {"timestamp": "2019-05-01T12:00:00Z"},
        {"sentAt": "soon"},
        {"sentAt": []},
        {"properties": "none"},
        {"properties": []},
    ]
    answers = [
        await segment.client.post("/v1/track", json=track("Product Viewed") | change, headers=basic(PAGE))
        for change in changes
    ]

    assert [one.status_code for one in answers] == [400] * len(changes)
    assert await segment.events(ProductViewed) == []


async def test_any_text_can_name_a_call(segment):
    """Also one that was cut inside an emoji: it becomes a digest."""
    body = json.dumps(track("Product Viewed", message="\u0000\ud800"))
    answers = [await segment.client.post("/v1/track", content=body, headers=basic(PAGE)) for _ in range(2)]

    assert [one.json()["duplicates"] for one in answers] == [0, 1]


async def test_a_page_says_who_by_anonymous_id_and_a_server_by_user_id(segment):
    """An id that can be guessed is no visitor's: whoever knows it could look at the visitor's offers."""
    call = track("Product Viewed", anonymousId=None, userId="c-1")
    page = await segment.call(call)
    server = await segment.call(call, key=SERVER)

    assert page.json()["rejected"][0]["path"] == "$.anonymousId"
    assert server.json()["accepted"] == 1
    (view,) = await segment.events(ProductViewed)
    assert (view.customer_id, view.visitor_id.startswith("segment-"), "c-1" in view.visitor_id) == ("c-1", True, False)


async def test_a_pages_user_id_counts_with_its_signature_alone(segment):
    """As on `/v1/events`: otherwise the call is taken without it, and the answer says so."""
    answer = await segment.call(track("Product Viewed", userId="c-1"))

    assert [one["path"] for one in answer.json()["ignored"]] == ["$.customer_id"]
    assert [one.customer_id for one in await segment.events(ProductViewed)] == [None]


async def test_only_a_server_confirms_an_order(segment):
    """The same call, by either key."""
    await segment.call(track("Order Completed", ORDER))
    await segment.call(track("Order Completed", ORDER, message="m-2"), key=SERVER)

    assert [one.by for one in await segment.events(OrderPlaced)] == ["page"]
    assert [one.total for one in await segment.events(OrderConfirmed)] == [Money(amount=2598, currency="EUR")]


async def test_a_bad_order_still_stops_its_shoppers_offers(segment):
    """Who bought is certain, whatever it cost."""
    answer = await segment.call(track("Order Completed", ORDER | {"total": "a lot"}))

    assert answer.json()["rejected"][0]["path"] == "$.properties.total"
    assert [one.visitor_id for one in await segment.events(OrderReportRefused)] == ["a-1"]


async def test_who_is_identified_may_consent_in_the_same_call(segment):
    """Traits: the address, the name, and a consent that is said in so many words."""
    traits = {"email": "ann@example.com", "firstName": "Ann", "lastName": "Lee", "marketing_consent": True}
    call = {"type": "identify", "messageId": "m-1", "anonymousId": "a-1", "traits": traits}
    await segment.call(call, {**call, "messageId": "m-2", "traits": {"plan": "gold"}})

    assert [(one.email, one.name) for one in await segment.events(CustomerIdentified)] == [
        ("ann@example.com", "Ann Lee")
    ]
    assert [(one.channel, one.granted, one.by) for one in await segment.events(ConsentChanged)] == [
        ("email", True, "page")
    ]


async def test_what_is_not_understood_is_taken_and_named(segment):
    """A library would send it again for ever; it is never lost in silence."""
    calls = [track("Video Played"), {"type": "page", "messageId": "m"}, {"type": "group"}, {"type": "\ud83d"}]
    body = json.dumps({"batch": calls}).encode()
    answer = await segment.client.post("/v1/batch", content=body, headers=basic(PAGE))

    assert (answer.status_code, answer.json()["accepted"]) == (200, 0)
    assert [one["name"] for one in answer.json()["not_understood"]][:3] == ["Video Played", "page", "group"]


async def test_a_wrong_clock_is_corrected_by_when_it_sent(segment):
    """A device that is a day ahead says by `sentAt` that it is."""
    ahead = datetime.now(UTC) + timedelta(days=1)
    happened = (ahead - timedelta(minutes=3)).isoformat()
    await segment.call(track("Product Viewed", timestamp=happened), sentAt=ahead.isoformat())

    (view,) = [received async for received in segment.mesh.read(ProductViewed)]
    assert timedelta(minutes=2, seconds=50) < view.stored - view.time < timedelta(minutes=3, seconds=10)


async def test_the_same_call_with_another_sent_at_is_the_same_event(segment):
    """A retry is sent later, so its corrected time differs by some milliseconds."""
    past = datetime.now(UTC) - timedelta(hours=1)
    call = track("Product Added", timestamp=past.isoformat())
    answers = [await segment.call(call, sentAt=(past + timedelta(seconds=one)).isoformat()) for one in (5, 8)]

    assert [one.json() for one in answers][1] == {"success": True, "accepted": 1, "duplicates": 1, "rejected": []}
    assert len(await segment.events(CartUpdated)) == 1


async def test_gzip_is_read_and_a_bomb_is_not(segment):
    """A megabyte is the most, however small it was packed."""
    headers = basic(PAGE) | {"content-encoding": "gzip", "content-type": "application/json"}

    async def send(body, **more):
        return (await segment.client.post("/v1/batch", content=body, headers=headers | more)).status_code

    body = json.dumps({"batch": [track("Product Viewed")]}).encode()
    packed = gzip.compress(body)
    assert await send(packed) == 200
    assert await send(gzip.compress(b" " * 50_000_000)) == 413
    assert await send(packed[:-9]) == 400
    assert await send(body) == 400
    assert await send(zlib.compress(body)) == 400
    assert await send(packed, **{"content-encoding": "br"}) == 415


async def test_what_is_no_batch_is_400(segment):
    """With a reason, and nothing stored."""
    for body in (b"", b"null", b"[]", b"{", b"{}", b'{"batch": {}}', b"\xff", b"[" * 100_000):
        answer = await segment.client.post("/v1/batch", content=body, headers=basic(PAGE))

        assert (answer.status_code, bool(answer.json()["detail"])) == (400, True)


async def test_calls_that_are_no_objects_are_refused_one_by_one(segment):
    """Beside one that is right."""
    answer = await segment.call(None, 5, "x", [], track("Product Viewed"))

    assert [one["index"] for one in answer.json()["rejected"]] == [0, 1, 2, 3]
    assert answer.json()["accepted"] == 1


async def test_without_a_valid_key_it_is_401(segment):
    """Whatever form the key has."""
    wrong = ({}, basic("nobody"), *({"authorization": one} for one in ("Basic !!!", "Basic", "Bearer x", "")))
    for headers in wrong:
        body = {"batch": [track("Product Viewed")]}
        assert (await segment.client.post("/v1/batch", json=body, headers=headers)).status_code == 401

    assert await segment.events(ProductViewed) == []


async def test_too_many_calls_and_too_much_are_413(segment):
    """The limits of `/v1/events`."""
    many = [track("Product Viewed", message=f"m-{at}") for at in range(501)]

    assert (await segment.call(*many)).status_code == 413
    assert (await segment.client.post("/v1/batch", content=b"x" * 5_000_000)).status_code == 413
