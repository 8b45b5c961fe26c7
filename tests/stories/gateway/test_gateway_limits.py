"""Keys and bounds: who may send what, how much at once, and how often."""

import pytest

from mesh.errors import DeclarationError
from mesh.events.cart import CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.product import ProductListed
from tests.stories.gateway.conftest import KEY, cart, stored, view


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
