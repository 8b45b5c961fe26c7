"""The gateway and the carts on real servers, each with no more rights than its declarations give it."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mesh import Mesh
from mesh.broker.jetstream import JetStreamBroker
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartRecovered, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import MeshHeartbeat
from mesh.events.offer import Card, OfferSent
from mesh.runtime.discovery import discover
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.mesh_toml import Topology
from services import carts, gateway, identity
from services.carts.fold import fold
from services.operations import heartbeat

KEY = {"authorization": "Bearer demo"}
SERVER = {"authorization": "Bearer secret"}
LINE = {"product_id": "sku-1", "quantity": 2, "price": {"amount": 1299, "currency": "EUR"}}
CARD = Card(title="Still yours", body="We kept your cart", action="Go on", url="https://shop.example/cart")


@asynccontextmanager
async def connected(servers, name):
    login = servers.credentials("us", name)
    broker = await JetStreamBroker.connect(
        "us", login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
    )
    try:
        yield Mesh(broker, name)
    finally:
        await broker.drain()


@pytest.fixture
async def servers():
    """One region of one node, with what all services declare."""
    topology = Topology.of(["us"], nodes=1)
    async with LocalServers(topology, services=discover()) as started:
        yield started


@pytest.fixture
async def storefront(servers, monkeypatch):
    """The gateway under granian, and a storefront that talks to it."""
    monkeypatch.setenv("CARTMESH_STORE_PATIENCE", "300ms")
    monkeypatch.setenv("CARTMESH_ABANDON_AFTER", "1s")
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", "secret")
    async with (
        connected(servers, "gateway") as mesh,
        running(gateway.service, mesh, http=("127.0.0.1", 0)) as run,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", headers=KEY, timeout=60) as client,
    ):
        yield client


def event(type_, id_, **fields):
    return {"id": id_, "type": type_, "time": datetime.now(UTC).isoformat(), "visitor_id": "v1", **fields}


def cart(id_="e1", cart_id="c1", **fields):
    return event("cart_updated", id_, cart_id=cart_id, lines=[LINE], **fields)


def order(id_="e9", cart_id="c1", order_id="o1"):
    return event("order_placed", id_, cart_id=cart_id, order_id=order_id, lines=[LINE], total=LINE["price"])


async def post(client, *events, headers=KEY):
    return await client.post("/v1/events", json={"events": events}, headers=headers)


async def words(lines):
    """The next server-sent event that says something."""
    fields = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            return int(fields["id"]), fields["event"], json.loads(fields["data"])
        else:
            fields = {}
    return None


async def test_the_answers_are_those_of_the_memory_broker(servers, storefront):
    """Accepted, repeated, refused: as in memory, with no more than the gateway's own rights."""
    first = [cart(), event("product_viewed", "e2", product_id="sku-1"), order()]

    stored = (await post(storefront, *first)).json()
    again = (await post(storefront, *first)).json()
    other = (
        await post(
            storefront, first[0] | {"visitor_id": "v2"}, first[1] | {"product_id": "x"}, first[2] | {"visitor_id": "v2"}
        )
    ).json()

    assert stored == {"accepted": 3, "duplicates": 0, "rejected": []}
    assert again == {"accepted": 3, "duplicates": 3, "rejected": []}
    assert [(one["id"], one["path"]) for one in other["rejected"]] == [
        ("e1", "$.id"),
        ("e2", "$.id"),
        ("e9", "$.id"),
    ]
    async with connected(servers, "operator") as mesh:
        counted = [len([r async for r in mesh.read(kind)]) for kind in (ProductViewed, CartConverted)]
        updates = [r.event async for r in mesh.read(CartUpdated)]
    assert counted == [1, 1]
    assert [(update.visitor_id, bool(update.refused)) for update in updates] == [("v1", False), ("v2", True)]


async def test_an_outage_is_503_and_heals(servers, storefront):
    """With the server killed nothing is accepted; once it is back the same request is accepted, and stored once."""
    await post(storefront, event("product_viewed", "e0", product_id="sku-1"))
    await servers.kill_region("us")

    events = cart(), event("product_viewed", "e2", product_id="sku-1")
    refused = await post(storefront, *events)
    unready = await storefront.get("/v1/updates")
    await servers.start_region("us")

    assert (refused.status_code, unready.status_code) == (503, 503)
    assert int(refused.headers["retry-after"]) >= 1
    async with asyncio.timeout(60):
        while (answer := await post(storefront, *events)).status_code != 202:
            assert answer.status_code == 503
            await asyncio.sleep(0.1)
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, [])
    async with connected(servers, "operator") as mesh:
        assert len([received async for received in mesh.read(CartUpdated)]) == 1


async def test_offers_appear_and_go_on_the_open_page(servers, storefront):
    """A sent offer reaches the open page through granian, and the order takes it away."""
    async with (
        connected(servers, "operator") as mesh,
        storefront.stream("GET", "/v1/visitors/v1/offers/live", params={"key": "demo"}) as page,
    ):
        lines = page.aiter_lines()
        await post(storefront, cart())
        await mesh.publish(OfferSent(cart_id="c1", visitor_id="v1", offer_id="offer-1", channel="onsite", card=CARD))
        async with asyncio.timeout(60):
            place, name, fields = await words(lines)
            await post(storefront, order())
            gone = await words(lines)

    assert page.headers["content-type"].startswith("text/event-stream")
    assert (name, fields["card"]["title"]) == ("offer", "Still yours")
    assert (gone[1], gone[2]["offer_id"]) == ("withdrawn", "offer-1")
    async with (
        asyncio.timeout(60),
        storefront.stream("GET", "/v1/visitors/v1/offers/live", headers={"Last-Event-ID": str(place)}) as page,
    ):
        assert (await words(page.aiter_lines()))[1] == "withdrawn"


async def test_a_page_that_stays_open_does_not_keep_the_gateway_from_ending(servers):
    """A deployment is not held up by browsers that listen."""
    clock = asyncio.get_running_loop().time
    async with connected(servers, "gateway") as mesh, httpx.AsyncClient(timeout=60) as client:
        async with running(gateway.service, mesh, http=("127.0.0.1", 0)) as run:
            url = f"http://127.0.0.1:{run.port}/v1/visitors/v1/offers/live?key=demo"
            stream = await client.send(client.build_request("GET", url), stream=True)
            await anext(stream.aiter_lines())
            asked = clock()
        assert clock() - asked < 8
        await stream.aclose()


async def test_carts_identity_and_heartbeat_have_the_rights_they_need(servers, storefront, eventually):
    """On real servers, as their own users: a cart is left, closed or won back, the heart beats."""
    async with (
        connected(servers, "carts") as mesh,
        running(carts.service, mesh),
        connected(servers, "identity") as profiles,
        running(identity.service, profiles),
        connected(servers, "heartbeat") as pulse,
        running(heartbeat.service, pulse),
    ):

        async def of(kind):
            return [received async for received in mesh.read(kind)]

        await post(storefront, cart(), cart("e2", "c2"))
        (left, _) = await eventually(lambda: _two(of, CartAbandoned))
        async with connected(servers, "operator") as operator:
            await operator.publish(OfferSent(cart_id="c1", visitor_id="v1", offer_id="offer-1", channel="email"))
        await post(storefront, order() | {"type": "order_confirmed"}, headers=SERVER)

        (recovered,) = await eventually(lambda: of(CartRecovered))
        (closed,) = await eventually(lambda: of(CartClosed))
        status = {key: fold(key, await mesh.history(key, "cart", "offer")).status for key in ("c1", "c2")}
        assert status == {"c1": "converted", "c2": "closed"}
        assert left.stored - left.event.due < timedelta(seconds=10)
        assert (recovered.event.offer_id, closed.event.cart_id) == ("offer-1", "c2")
        assert await eventually(lambda: pulse.last(MeshHeartbeat, "us"))


async def _two(of, kind):
    found = await of(kind)
    return found if len(found) == 2 else None
