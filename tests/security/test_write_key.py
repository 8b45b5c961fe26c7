"""What somebody can do with a storefront's write key, which stands in its pages; each test is a line of the README."""

import hmac
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh
from mesh.events.cart import CartClosed, CartConverted, CartRecovered, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.offer import OfferSent
from mesh.events.order import OrderConfirmed, OrderPlaced, PurchaseMarked
from mesh.events.product import ProductListed
from mesh.events.profile import ProfileRefused
from mesh.profiles import digests_of, read_profile
from mesh.runtime.run import running
from services import carts, identity
from services.carts.fold import fold

LINE = {"product_id": "sku-1", "quantity": 1, "price": {"amount": 1299, "currency": "EUR"}}
PAGE, SERVER = "demo", "secret"


class Shop:
    """The gateway of `us`, as whoever has a key sees it."""

    def __init__(self, client, mesh):
        self.client, self.mesh, self.sent = client, mesh, 0

    async def send(self, type_, *, key=PAGE, visitor_id="attacker", **fields):
        self.sent += 1
        time = datetime.now(UTC).isoformat()
        event = {"id": f"e{self.sent}", "type": type_, "time": time, "visitor_id": visitor_id, **fields}
        answer = await self.client.post(
            "/v1/events", json={"events": [event]}, headers={"authorization": f"Bearer {key}"}
        )
        assert answer.status_code == (202 if answer.json()["accepted"] else 422)
        return answer.json()

    async def order(self, type_="order_placed", order_id="o1", **more):
        return await self.send(type_, **{"order_id": order_id, "lines": [LINE], "total": LINE["price"]} | more)

    async def all(self, kind):
        return [received.event async for received in self.mesh.read(kind)]


@pytest.fixture
async def shop(regions, monkeypatch, gateway_client):
    """Gateway and carts at work, with a page's and a server's key."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", SERVER)
    monkeypatch.setenv("CARTMESH_WRITE_KEYS", f"{PAGE},views-only")
    monkeypatch.setenv("CARTMESH_KEY_TYPES", "views-only=product_viewed")
    async with AsyncExitStack() as stack:
        broker = regions.broker("us")
        stack.push_async_callback(broker.drain)
        mesh = Mesh(broker, "carts", others=("eu",))
        await stack.enter_async_context(running(carts.service, mesh))
        await stack.enter_async_context(running(identity.service, Mesh(broker, "identity", others=("eu",))))
        yield Shop(await stack.enter_async_context(gateway_client(Mesh(broker, "gateway"))), mesh)


async def test_it_counts_no_money(shop, eventually):
    """An invented order of a cart that got an offer recovers nothing; the server's confirmation does."""
    await shop.send("cart_updated", cart_id="c1", lines=[LINE])
    await shop.mesh.publish(OfferSent(cart_id="c1", visitor_id="attacker", offer_id="offer-1", channel="email"))

    invented = await shop.order(cart_id="c1")
    forged = await shop.order("order_confirmed", cart_id="c1")
    assert (invented["accepted"], forged["accepted"], forged["rejected"][0]["path"]) == (1, 0, "$.type")
    assert await eventually(lambda: shop.all(CartConverted))
    assert await shop.all(OrderConfirmed) == await shop.all(CartRecovered) == []

    await shop.order("order_confirmed", key=SERVER, cart_id="c1")
    (recovered,) = await eventually(lambda: shop.all(CartRecovered))
    assert (recovered.order_id, recovered.offer_id, recovered.value.amount) == ("o1", "offer-1", 1299)


async def test_it_keeps_nobody_from_ordering(shop):
    """An order number that was reported beforehand is still reported by its buyer and confirmed by the server."""
    await shop.order(order_id="100001", cart_id="forged")

    bought = await shop.order(order_id="100001", visitor_id="buyer", cart_id="c1")
    confirmed = await shop.order("order_confirmed", order_id="100001", key=SERVER, visitor_id="buyer", cart_id="c1")

    assert (bought["accepted"], confirmed["accepted"]) == (1, 1)
    assert [one.visitor_id for one in await shop.all(OrderPlaced)] == ["attacker", "buyer"]
    (buyer,) = digests_of("buyer", None)
    assert buyer in {mark.shopper for mark in await shop.all(PurchaseMarked)}


async def test_a_report_made_beforehand_keeps_no_cart_open(shop):
    """Whoever knows a cart and its next order number cannot have the real order taken for a repetition."""
    for order_type, key in (("order_placed", PAGE), ("order_confirmed", SERVER)):
        cart = f"cart-{order_type}"
        await shop.send("cart_updated", visitor_id="buyer", cart_id=cart, lines=[LINE])
        await shop.order(order_id=cart, visitor_id="buyer", cart_id=cart, lines=[LINE | {"quantity": 7}])
        await shop.send("cart_updated", visitor_id="buyer", cart_id=cart, lines=[LINE])

        await shop.order(order_type, order_id=cart, visitor_id="buyer", cart_id=cart, key=key)

        assert fold(cart, await shop.mesh.history(cart, "cart")).status == "converted"


async def test_it_closes_no_strangers_carts(shop, eventually):
    """A page's customer id counts with the server's signature; without it the event is taken and the id is not."""
    await shop.send("cart_updated", key=SERVER, visitor_id="laptop", cart_id="c1", lines=[LINE], customer_id="ada")

    async def known():
        return (await read_profile(shop.mesh, "laptop")).carts

    await eventually(known)
    signature = hmac.new(SERVER.encode(), b"ada", "sha256").hexdigest()

    for wrong in (None, signature[:-1], hmac.new(PAGE.encode(), b"ada", "sha256").hexdigest()):
        answer = await shop.order(order_id=f"o-{wrong}", customer_id="ada", customer_signature=wrong)
        assert [one["path"] for one in answer["ignored"]] == ["$.customer_id"]
    assert {one.customer_id for one in await shop.all(OrderPlaced)} == {None}
    assert await shop.all(CartClosed) == []

    await shop.order(order_id="real", visitor_id="phone", customer_id="ada", customer_signature=signature)
    assert [one.cart_id for one in await eventually(lambda: shop.all(CartClosed))] == ["c1"]


async def test_it_stops_offers(shop, eventually):
    """Whoever knows a cart's id can end it: a page's word is enough for that."""
    await shop.send("cart_updated", visitor_id="victim", cart_id="c1", lines=[LINE])

    await shop.order(cart_id="c1")

    assert [one.cart_id for one in await eventually(lambda: shop.all(CartConverted))] == ["c1"]


async def test_it_lifts_no_refusal_by_the_link_in_a_mail(shop, eventually):
    """A page's consent for who unsubscribed changes nothing for their address; the server's does."""

    async def is_refused(wanted):
        return ("email" in (await read_profile(shop.mesh, "victim")).refused_channels()) is wanted

    await shop.send("customer_identified", visitor_id="victim", email="ada@example.com")
    await shop.mesh.publish(CustomerUnsubscribed(visitor_id="victim", channel="email", offer_id="o1"))
    await eventually(lambda: is_refused(True), within=60)
    unsubscribed = await shop.mesh.last(ProfileRefused, "victim")

    await shop.send("consent_changed", visitor_id="victim", channel="email", granted=True)
    await shop.send("consent_changed", visitor_id="victim", channel="onsite", granted=True)
    noted = await eventually(lambda: _later_refusal(shop, unsubscribed), within=60)
    assert (noted.event.channel, noted.event.refused) == ("onsite", False)
    assert await is_refused(True)

    await shop.send("consent_changed", key=SERVER, visitor_id="victim", channel="email", granted=True)
    await eventually(lambda: is_refused(False), within=60)


async def _later_refusal(shop, before):
    last = await shop.mesh.last(ProfileRefused, "victim")
    return last if last.sequence > before.sequence else None


async def test_it_lists_no_products(shop):
    """Names, prices and addresses of products are the server's to tell."""
    refused = await shop.send("product_listed", product_id="sku-1", url="https://evil.example")

    assert (refused["accepted"], refused["rejected"][0]["path"]) == (0, "$.type")
    assert await shop.all(ProductListed) == []


async def test_what_it_says_of_people_is_marked_as_a_pages_word(shop):
    """An address and a consent carry who reports them, whatever the sender writes there itself."""
    for key in (PAGE, SERVER):
        await shop.send("customer_identified", key=key, email="ada@example.com", by="server")
        await shop.send("consent_changed", key=key, channel="email", granted=True, by="server")

    assert [one.by for one in await shop.all(CustomerIdentified)] == ["page", "server"]
    assert [one.by for one in await shop.all(ConsentChanged)] == ["page", "server"]


async def test_a_limited_key_sends_its_types_alone(shop):
    """What a key may send is a setting of the key."""
    viewed = await shop.send("product_viewed", key="views-only", product_id="sku-1")
    refused = await shop.send("cart_updated", key="views-only", cart_id="c1", lines=[LINE])

    assert (viewed["accepted"], refused["accepted"]) == (1, 0)
    assert refused["rejected"][0]["reason"] == "this key may only send product_viewed"
    assert await shop.all(CartUpdated) == []


async def test_its_ids_collide_with_no_other_keys(shop):
    """Used beforehand with one key, an event's id is still free for another."""
    time = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    event = {"id": "guessed", "type": "cart_updated", "time": time, "visitor_id": "v", "cart_id": "c1", "lines": [LINE]}

    answers = [
        await shop.client.post(
            "/v1/events", json={"events": [event | more]}, headers={"authorization": f"Bearer {key}"}
        )
        for key, more in ((PAGE, {"cart_id": "forged"}), (SERVER, {}))
    ]

    assert [answer.json()["accepted"] for answer in answers] == [1, 1]
