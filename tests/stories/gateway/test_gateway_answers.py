"""What a storefront is answered: what was taken, what was wrong with the rest, and what a repetition changes."""

import asyncio

import pytest

from mesh.events.cart import CartIdle, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.order import OrderPlaced
from tests.stories.gateway.conftest import KEY, cart, order, stored, view


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


async def test_a_late_retry_is_recognised_behind_the_duplicate_window(post, regions, gateway):
    """A phone that sends again after JetStream has forgotten the id has no second effect."""
    events = [cart(ago=600), order(ago=590), view("e2") | {"time": cart(ago=600)["time"]}]
    await post(*events)
    for log in regions.regions["us"].logs.values():
        log._ids.clear()

    answer = await post(*events)

    assert answer.json() == {"accepted": 3, "duplicates": 3, "rejected": []}
    assert [len(await stored(gateway, kind)) for kind in (CartUpdated, ProductViewed, OrderPlaced)] == [1, 1, 1]


async def test_two_storefronts_may_use_the_same_id(settings, open_gateway, gateway):
    """Ids are a write key's own."""
    settings(write_keys="one,two")
    client = await open_gateway()

    for key in ("one", "two"):
        answer = await client.post("/v1/events", json={"events": [cart()]}, headers={"authorization": f"Bearer {key}"})
        assert answer.json() == {"accepted": 1, "duplicates": 0, "rejected": []}

    assert len(await stored(gateway, CartUpdated)) == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"events": 7}', b"\xff\xfe", b"[" * 100_000])
async def test_malformed_json_is_400(open_gateway, body):
    """What is no list of events is refused as a problem with words."""
    client = await open_gateway()

    answer = await client.post("/v1/events", content=body, headers=KEY)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "the body must be" in answer.json()["detail"]


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
