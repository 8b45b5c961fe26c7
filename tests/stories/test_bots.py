"""Bots that fill carts: what they send is refused, and their carts are neither offered nor counted."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

from mesh import Mesh
from mesh.events.cart import CartAbandoned, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.profile import ProfileLinked
from mesh.profiles import read_profile
from mesh.runtime.run import running
from services import carts, identity

PAGE, SERVER = {"authorization": "Bearer demo"}, {"authorization": "Bearer secret"}
STOREBOT = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; Storebot-Google/1.0) AppleWebKit/537.36 Chrome/141.0 Safari/537.36"
}
LINE = {"product_id": "sku-1", "quantity": 2, "price": {"amount": 1299, "currency": "EUR"}}
ADDRESS = "johnsmith004@storebotmail.joonix.net"


def event(id_, type_, visitor="v1", **fields):
    return {"id": id_, "type": type_, "time": datetime.now(UTC).isoformat(), "visitor_id": visitor, **fields}


def cart(id_, visitor="v1", **more):
    return event(id_, "cart_updated", visitor, cart_id=f"cart-of-{visitor}", lines=[LINE], **more)


def identified(id_, visitor="v1", email=ADDRESS):
    return event(id_, "customer_identified", visitor, email=email)


def counted(outcome):
    return REGISTRY.get_sample_value("cartmesh_gateway_events_total", {"outcome": outcome}) or 0


@pytest.fixture
async def us(regions, monkeypatch, gateway_client):
    """A gateway, carts and identity in `us`; carts count as left after half a second."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", "secret")
    monkeypatch.setenv("CARTMESH_ABANDON_AFTER", "500ms")
    async with AsyncExitStack() as stack:
        broker = regions.broker("us")
        stack.push_async_callback(broker.drain)
        mesh = Mesh(broker, "carts", others=("eu",))
        await stack.enter_async_context(running(carts.service, mesh))
        await stack.enter_async_context(running(identity.service, Mesh(broker, "identity", others=("eu",))))
        mesh.client = await stack.enter_async_context(gateway_client(Mesh(broker, "gateway", others=("eu",))))
        yield mesh


async def post(us, *events, headers=PAGE):
    return await us.client.post("/v1/events", json={"events": events}, headers=headers)


async def stored(us, *kinds):
    return [received.event async for received in us.read(*kinds)]


async def test_what_a_bot_sends_is_refused(us):
    """Nothing is stored; the answer says why, and a metric counts it apart from what is wrong."""
    before, wrong = counted("bot"), counted("rejected")
    broken = cart("e2") | {"lines": "none"}

    answer = await post(us, cart("e1"), broken, identified("e3", email="ada@example.test"), headers=PAGE | STOREBOT)

    assert answer.status_code == 422
    rejected = answer.json()["rejected"]
    assert [(one["index"], one["id"], one["path"]) for one in rejected] == [
        (0, "e1", "$"),
        (1, "e2", "$"),
        (2, "e3", "$"),
    ]
    assert {one["reason"] for one in rejected} == {"sent by a bot (Storebot-Google), whose events are not taken"}
    assert await stored(us, CartUpdated, CustomerIdentified, ProfileLinked) == []
    assert (counted("bot") - before, counted("rejected") - wrong) == (3, 0)


async def test_the_shops_own_server_is_no_bot(us):
    """Whatever its program is called, its key says who it is."""
    answer = await post(us, cart("e1"), headers=SERVER | STOREBOT)

    assert answer.json() == {"accepted": 1, "duplicates": 0, "rejected": []}


async def test_a_bots_address_is_refused_and_its_cart_is_not_abandoned(us, eventually):
    """A bot that looks like a browser gives its address at the checkout: its cart is not scored, decided or mailed."""
    before = counted("bot")
    answer = await post(us, identified("e2"))
    (rejected,) = answer.json()["rejected"]
    assert (answer.status_code, rejected["path"]) == (422, "$.email")
    assert rejected["reason"].startswith("the address of a bot")
    assert counted("bot") - before == 1

    async def is_known():
        return (await read_profile(us, "v1")).bot

    await eventually(is_known, within=60)
    await post(us, cart("e3"), cart("e4", "person"))

    await eventually(lambda: stored(us, CartAbandoned), within=60)
    await asyncio.sleep(1)  # the bot's timer was due first
    assert {abandoned.visitor_id for abandoned in await stored(us, CartAbandoned)} == {"person"}
    assert await stored(us, CustomerIdentified) == []


async def test_who_is_a_bot_stays_one(us, eventually):
    """Also where another address follows, and in every region; another visitor with that address is a person."""
    await post(us, identified("e1"))
    await post(us, identified("e2", email="ada@example.test"), identified("e3", "person", email="ada@example.test"))

    linked = {one.visitor_id: one for one in await stored(us, ProfileLinked)}
    assert {visitor: one.bot for visitor, one in linked.items()} == {"v1": True, "person": False}
    assert linked["v1"].names == linked["person"].names

    async def both_are_known():
        return (await read_profile(us, "v1")).names and (await read_profile(us, "person")).names

    await eventually(both_are_known, within=60)
    assert [(await read_profile(us, visitor)).bot for visitor in ("v1", "person")] == [True, False]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (ADDRESS, True),
        (" JohnSmith@STOREBOTMAIL.joonix.net ", True),
        ("a@deep.storebotmail.joonix.net", True),
        ("a@notstorebotmail.joonix.net", False),
        ("a@joonix.net", False),
        ("probe@shop.test", True),
        ("other@shop.test", False),
        ("anybody@probes.test", True),
    ],
)
def test_addresses_of_bots_are_known_by_domain_or_whole(address, expected, monkeypatch):
    """Those that crawlers document, and what a shop adds."""
    monkeypatch.setenv("CARTMESH_BOT_ADDRESSES", "probe@shop.test, probes.test")
    identity.bots._known.cache_clear()
    try:
        assert identity.bots.is_bots(address) == expected
    finally:
        identity.bots._known.cache_clear()
