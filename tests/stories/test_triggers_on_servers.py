"""Journeys that start by more than a left cart, on real servers: published, found in the log, decided, mailed, or not.

Shoppers come through the gateway, as from a shop's pages and server; journeys are published as the studio does.
"""

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio
from msgspec.structs import replace

from mesh.errors import Conflict
from mesh.events.cart import CartAbandoned
from mesh.events.interaction import ProductViewed
from mesh.events.offer import OfferDecided, OfferDeferred, OfferRecovered, OfferSent, OfferTriggered, OfferWithdrawn
from mesh.events.order import OrderCancelled, OrderedPieces, OrderRefunded, OrderReturned
from mesh.events.trigger import TriggerChecked
from mesh.money import Money
from mesh.profiles import purchases_of, read_profile
from mesh.runtime.discovery import discover
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from notifications.cart_state import shopper_state
from notifications.channels.service import service as channels
from notifications.documents.publishing import publish
from notifications.documents.seeding import seed
from notifications.inbox.server import inbox
from notifications.journeys import parse
from notifications.journeys.kind import JOURNEYS, files_of
from notifications.offers import service as offers
from notifications.templates.kind import TEMPLATES
from notifications.triggers.checking import check_trigger
from notifications.triggers.found import subject_of
from services.carts import service as carts
from services.gateway import service as gateway
from services.identity import service as identity

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
BASE = 'channels = ["email"]\nquiet = ""\ncap = 9\nholdout = 0\ndiscount_percent = 0\ntemplate = "{}"\ntrigger = "{}"\n'
BROWSE = BASE.format("browse-abandoned", "browse abandoned") + 'trigger_after = "300ms"\n'
JOURNEYS_ON = {
    "browse": BROWSE,
    "price": BASE.format("price-dropped", "price dropped"),
    "stock": BASE.format("back-in-stock", "back in stock"),
    "win-back": BASE.format("win-back", "no order since") + 'trigger_after = "300ms"\n',
}
PAGE, SERVER = "demo", "secret"


class Shop:
    """One region: what its pages and its server send, and what its services do."""

    def __init__(self, client, mesh, studio, orders, box, refused, eventually):
        self.client, self.mesh, self.studio, self.orders, self.box = client, mesh, studio, orders, box
        self.eventually = eventually
        self.sent, self.refused = 0, refused

    async def send(self, type_, *, key=PAGE, **fields):
        await self.send_at_once(type_, fields, key=key)

    async def send_at_once(self, type_, *several, key=PAGE):
        """Several events of one moment: between them nothing can be found."""
        now, events = datetime.now(UTC).isoformat(), []
        for fields in several:
            self.sent += 1
            events.append({"id": f"{self.mesh.region}-{self.sent}", "type": type_, "time": now, **fields})
        headers = {"authorization": f"Bearer {key}"}
        answer = await self.client.post("/v1/events", json={"events": events}, headers=headers)
        assert answer.json().get("rejected") == [], answer.text

    async def listed(self, product, amount, **more):
        """The shop's catalogue has a product at a price in EUR."""
        price = {"amount": amount, "currency": "EUR"}
        fields = {"product_id": product, "name": product.title(), "price": price} | more
        await self.send("product_listed", key=SERVER, **fields)

    async def identified(self, visitor, *, email=""):
        """A shopper who may be mailed."""
        await self.send("customer_identified", visitor_id=visitor, email=email or f"{visitor}@example.test")
        await self.send("consent_changed", visitor_id=visitor, channel="email", granted=True)

        async def known():
            return (await read_profile(self.mesh, visitor)).names

        await self.eventually(known)

    async def viewed(self, visitor, *products):
        await self.send_at_once("product_viewed", *({"visitor_id": visitor, "product_id": one} for one in products))

    async def filled(self, visitor, *products, amount=2000, cart=""):
        price = {"amount": amount, "currency": "EUR"}
        lines = [{"product_id": one, "quantity": 1, "price": price} for one in products]
        await self.send("cart_updated", visitor_id=visitor, cart_id=cart or f"cart-{visitor}", lines=lines)

    async def left(self, visitor, *products):
        """A cart that is filled, and then counted as left."""
        await self.filled(visitor, *products)
        cart = f"cart-{visitor}"
        await self.eventually(lambda: self.mesh.last(CartAbandoned, cart))
        return cart

    async def ordered(self, visitor, order, **more):
        await self.send("order_placed", visitor_id=visitor, order_id=order, **self.vase, **more)

    @property
    def vase(self):
        price = {"amount": 3000, "currency": "EUR"}
        return {"lines": [{"product_id": "vase", "quantity": 1, "price": price}], "total": price}

    async def publish_journeys(self):
        """Publish one for each trigger, and wait until they are looked for."""
        left = 'template = "abandoned-cart"\nactive = false\n'  # whose mails would come between
        for name, text in {**JOURNEYS_ON, "abandoned-cart": left}.items():
            await publish(JOURNEYS, name, files_of(text), "author", self.studio)
        for name in JOURNEYS_ON:
            await self.eventually(lambda name=name: self.mesh.last(TriggerChecked, name))

    async def decided(self, key, journey):
        """The newest decision of a journey about a subject."""
        history = await self.mesh.history(key, OfferDecided)
        return next((one.event for one in reversed(history.events) if one.event.journey == journey), None)

    async def triggered(self, key):
        return [one.event for one in (await self.mesh.history(key, OfferTriggered)).of(OfferTriggered)]

    def mails(self, visitor):
        return [one for one in self.box.mails if f"{visitor}@example.test" in one.recipients]

    async def mailed(self, visitor):
        """The text of the one mail that a shopper got, once it is there."""
        await self.eventually(lambda: self.mails(visitor))
        (mail,) = self.mails(visitor)
        return self.box.opened(mail).get_body(("plain",)).get_content()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def us(tmp_path_factory, eventually):
    """A region with the services from a shop's pages to its mails, and a journey for each trigger."""
    refused = set()
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(LocalServers(Topology.of(["us"], nodes=1), services=discover()))
        folder = tmp_path_factory.mktemp("inbox")
        box = await stack.enter_async_context(inbox(folder, refuse=lambda to: "451 later" if to in refused else None))

        async def mesh(name):
            connected = await connect(servers.access, "us", name)
            stack.push_async_callback(connected.broker.drain)
            return connected

        with pytest.MonkeyPatch.context() as settings:
            settings.setenv("CARTMESH_SMTP_PORT", str(box.smtp_port))
            settings.setenv("CARTMESH_SERVER_KEYS", SERVER)
            settings.setenv("CARTMESH_SEND_AGAIN_AFTER", "50ms")
            settings.setenv("CARTMESH_TRIGGER_CHECK", "100ms")
            settings.setenv("CARTMESH_ABANDON_AFTER", "100ms")
            for kind in (TEMPLATES, JOURNEYS):
                await seed(kind, "", await mesh("offers"))
            for service in (identity, carts, offers, channels):
                await stack.enter_async_context(running(service, await mesh(service.name)))
            run = await stack.enter_async_context(running(gateway, await mesh("gateway"), http=("127.0.0.1", 0)))
            client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", timeout=20)
            await stack.enter_async_context(client)
            meshes = [await mesh(name) for name in ("offers", "studio", "orders")]
            shop = Shop(client, *meshes, box, refused, eventually)
            await shop.publish_journeys()
            yield shop


async def test_each_trigger_ends_in_a_mail_and_a_purchase_ends_each_run(us):
    """Side by side, as each story waits for a look at the log."""
    await asyncio.gather(
        who_looked_at_products_and_left_is_mailed_once(us),
        a_price_that_fell_is_told_to_those_who_left_the_product(us),
        a_product_that_is_back_is_told_to_those_who_left_it(us),
        who_ordered_once_and_no_more_is_asked_to_come_back(us),
        who_bought_while_the_mail_waits_is_not_mailed(us),
    )


async def who_looked_at_products_and_left_is_mailed_once(us):
    """Products of the visit, newest first, at what they cost by the catalogue."""
    await us.listed("lamp", 4500)
    await us.listed("rug", 9900)
    await us.listed("gone", 100, available=False)
    await us.identified("ada")
    await us.viewed("ada", "lamp", "gone", "not-listed", "rug")

    text = await us.mailed("ada")
    assert "Rug" in text
    assert "Lamp" in text
    assert "your cart" not in text.lower()
    key = subject_of("browse abandoned", "browse", "ada")
    (found,) = await us.triggered(key)
    assert [line.product_id for line in found.lines] == ["rug", "lamp"]
    assert (await us.decided(key, "browse")).trigger == "browse abandoned"


async def who_bought_while_the_mail_waits_is_not_mailed(us):
    """The mail server takes nothing for a while; meanwhile one shopper buys and one fills a cart."""
    await us.listed("candle", 4500)
    us.refused.update({"kate@example.test", "lena@example.test"})
    await asyncio.gather(us.identified("kate"), us.identified("lena"))
    keys = [subject_of("browse abandoned", "browse", one) for one in ("kate", "lena")]
    await asyncio.gather(us.viewed("kate", "candle"), us.viewed("lena", "candle"))
    for key in keys:
        await us.eventually(lambda key=key: us.mesh.last(OfferDeferred, key))
    await us.ordered("kate", "o-kate")
    await us.filled("lena", "candle")
    await us.eventually(lambda: _has_cart(us, "lena"))
    us.refused.clear()

    withdrawn = [await us.eventually(lambda key=key: us.mesh.last(OfferWithdrawn, key)) for key in keys]
    assert "bought before it was sent" in withdrawn[0].event.reason
    assert "moved on before it was sent" in withdrawn[1].event.reason
    assert [await us.mesh.last(OfferSent, key) for key in keys] == [None, None]


async def test_who_filled_a_cart_or_bought_or_is_not_known_did_not_just_look(us):
    """Nor who comes back; each occasion is found once, however many look and whenever they are ended."""
    journey = parse("looked", BROWSE, {})
    await us.listed("lamp", 4500)
    await check_trigger(journey, us.mesh, datetime.now(UTC))
    lookers = [f"looker-{number}" for number in range(12)]
    await asyncio.gather(*map(us.identified, (*lookers, "ben", "carl", "back")))
    for visitor in (*lookers, "ben", "carl", "back", "anonymous"):
        await us.viewed(visitor, "lamp")
    await us.filled("ben", "lamp")
    await us.eventually(lambda: _has_cart(us, "ben"))
    await us.ordered("carl", "o-carl")
    now = (await us.mesh.last(ProductViewed, "anonymous")).stored + timedelta(milliseconds=300)
    await us.viewed("back", "lamp")

    for _ in range(8):
        looks = [asyncio.create_task(check_trigger(journey, us.mesh, now)) for _ in range(3)]
        await asyncio.wait(looks, timeout=random.uniform(0.001, 0.08))
        looks[0].cancel()
        outcomes = await asyncio.gather(*looks, return_exceptions=True)
        assert all(isinstance(one, int | Conflict | asyncio.CancelledError) for one in outcomes), outcomes
    keys = [subject_of(journey.trigger, journey.name, one) for one in (*lookers, "ben", "carl", "back", "anonymous")]
    counts = [len(await us.triggered(key)) for key in keys]
    assert counts == [1] * len(lookers) + [0] * 4

    off = replace(journey, active=False)
    assert [await check_trigger(one, us.mesh, now) for one in (off, off)] == [0, 0]
    await us.viewed("back", "lamp")
    seen = (await us.mesh.last(ProductViewed, "back")).stored
    for later in (1, 5):
        await check_trigger(journey, us.mesh, seen + timedelta(seconds=later))
    assert await us.triggered(keys[-2]) == []


async def test_an_order_that_was_cancelled_or_paid_back_is_not_the_last_one(us):
    """Nor does it keep back a mail about the one before it; an order of which a part is left is the last one."""
    after = timedelta(hours=1)
    journey = parse("last-order", BASE.format("win-back", "no order since") + 'trigger_after = "1h"\n', {})
    await check_trigger(journey, us.mesh, datetime.now(UTC))
    people = ("cancelled", "refunded", "returned", "partly", "standing", "only")
    await asyncio.gather(*map(us.identified, people))
    for visitor in people:
        for number in (1, 2) if visitor != "only" else (2,):
            await us.ordered(visitor, f"o-{visitor}-{number}")
    whole, part = Money(amount=3000, currency="EUR"), Money(amount=2999, currency="EUR")
    pieces = (OrderedPieces(product_id="vase", quantity=1),)
    for order in ("o-cancelled-2", "o-only-2"):
        undone = OrderCancelled(
            order_id=order, lines=pieces, amount=whole, left=(), total=replace(whole, amount=0), by="shop"
        )
        await us.orders.publish(undone)
    returned = OrderReturned(order_id="o-returned-2", lines=pieces, amount=whole, all_lines=pieces, total=whole)
    await us.orders.publish(returned)
    for order, amount in (("o-refunded-2", whole), ("o-returned-2", part), ("o-partly-2", part)):
        await us.orders.publish(OrderRefunded(order_id=order, refunded=amount))

    now = datetime.now(UTC) + after
    for _ in range(2):
        await check_trigger(journey, us.mesh, now)

    found = {visitor: await us.triggered(subject_of(journey.trigger, journey.name, visitor)) for visitor in people}
    assert {visitor: [one.order_id for one in several] for visitor, several in found.items()} == {
        "cancelled": ["o-cancelled-1"],
        "refunded": ["o-refunded-1"],
        "returned": ["o-returned-1"],
        "partly": ["o-partly-2"],
        "standing": ["o-standing-2"],
        "only": [],
    }
    assert await _since(us, found["cancelled"][0]) == "left"
    await us.ordered("cancelled", "o-cancelled-3")
    assert await _since(us, found["cancelled"][0]) == "bought"


async def _since(us, found):
    """What the shopper of a find did since, as a decision sees it."""
    person = await read_profile(us.mesh, found.visitor_id)
    bought = [one for one in (await purchases_of(us.mesh, person.digests)).values() if one]
    return (await shopper_state(found, bought, person, us.mesh))[0]


async def _has_cart(shop, visitor):
    return (await read_profile(shop.mesh, visitor)).carts


async def a_price_that_fell_is_told_to_those_who_left_the_product(us):
    """With the catalogue's price before; a smaller fall, another product and a cart that was bought start nothing."""
    for product in ("chair", "desk", "shelf"):
        await us.listed(product, 2000)
    for visitor in ("cleo", "dora", "finn"):
        await us.identified(visitor)
    cart = await us.left("cleo", "desk", "chair")
    others = [await us.left("dora", "shelf"), await us.left("finn", "chair")]
    await us.ordered("finn", "o-finn", cart_id="cart-finn")
    await us.listed("shelf", 1950)
    await us.listed("chair", 1500)

    text = await us.mailed("cleo")
    assert "15.00" in text
    assert text.index("Chair") < text.index("Desk")
    (found,) = await us.triggered(cart)
    assert [(line.product_id, line.price.amount) for line in found.lines] == [("chair", 1500), ("desk", 2000)]
    assert found.prices_before["chair"].amount == 2000
    assert found.products == ("chair",)
    assert [await us.triggered(one) for one in others] == [[], []]

    await us.listed("chair", 1480)
    await us.listed("chair", 1200)
    await us.eventually(lambda: _told(us, cart, 2))
    assert (await us.triggered(cart))[-1].prices_before["chair"].amount == 1480


async def _told(shop, key, count):
    return len(await shop.triggered(key)) == count


async def a_product_that_is_back_is_told_to_those_who_left_it(us):
    """It had to be gone after the cart was left: for a product that is listed again nobody is written to."""
    await us.listed("clock", 2000)
    await us.listed("bell", 2000)
    await us.identified("gina")
    await us.identified("hugo")
    cart, other = await us.left("gina", "clock"), await us.left("hugo", "bell")
    await us.listed("clock", 2000, available=False)
    await us.listed("bell", 2000)
    await us.listed("clock", 2000)

    assert "Clock" in await us.mailed("gina")
    (found,) = await us.triggered(cart)
    assert (found.trigger, found.products) == ("back in stock", ("clock",))
    assert await us.triggered(other) == []


async def who_ordered_once_and_no_more_is_asked_to_come_back(us):
    """A mail without lines, and an order that follows it counts as won."""
    await us.identified("ida")
    await us.send_at_once("order_placed", {"visitor_id": "ida", "order_id": "o-ida-1", **us.vase})

    text = await us.mailed("ida")
    assert "your cart" not in text.lower()
    found = await us.triggered(subject_of("no order since", "win-back", "ida"))
    assert [(one.order_id, one.lines, one.total.amount) for one in found] == [("o-ida-1", (), 3000)]

    await us.send("order_confirmed", key=SERVER, visitor_id="ida", order_id="o-ida-2", **us.vase)
    recovered = await us.eventually(lambda: us.mesh.last(OfferRecovered, found[0].cart_id))
    assert (recovered.event.order_id, recovered.event.value.amount) == ("o-ida-2", 3000)
