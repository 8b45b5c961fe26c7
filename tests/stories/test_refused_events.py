"""What a refused event establishes all the same: an order that nobody can read was still an order."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh
from mesh.events.cart import CartAbandoned, CartClosed, CartLine, CartUpdated
from mesh.events.customer import ConsentChanged
from mesh.events.order import OrderPlaced, OrderReportRefused, PurchaseMarked
from mesh.money import Money
from mesh.profiles import purchases_of, read_profile, visitor_digest
from mesh.runtime.run import running
from notifications.cart_state import cart_state
from services import carts, identity

PAGE, SERVER = {"authorization": "Bearer demo"}, {"authorization": "Bearer secret"}
PRICE = {"amount": 1299, "currency": "EUR"}
LINE = {"product_id": "sku-1", "quantity": 2, "price": PRICE}
DOLLARS = LINE | {"price": {"amount": 1299, "currency": "USD"}}


class Shop:
    """The gateway of `us` as a storefront sees it, and what is stored."""

    def __init__(self, regions, client, mesh):
        self.regions, self.client, self.mesh, self.sent = regions, client, mesh, 0

    async def send(self, type_, *, headers=PAGE, **fields):
        self.sent += 1
        time = datetime.now(UTC).isoformat()
        event = {"id": f"e{self.sent}", "type": type_, "time": time, "visitor_id": "v1", **fields}
        return (await self.client.post("/v1/events", json={"events": [event]}, headers=headers)).json()

    async def fill(self, cart_id="c1", **more):
        answer = await self.send("cart_updated", cart_id=cart_id, **{"lines": [LINE]} | more)
        assert answer["rejected"] == []

    async def all(self, kind):
        return [received async for received in self.mesh.read(kind)]

    def timers(self):
        stored = self.regions.regions["us"].logs["COMMERCE_us"].messages.values()
        return {message.subject for message in stored if message.subject.startswith("timer.")}


@pytest.fixture
async def shop(regions, monkeypatch, gateway_client):
    """Gateway, carts and identity at work in `us`."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", "secret")
    async with AsyncExitStack() as stack:
        broker = regions.broker("us")
        stack.push_async_callback(broker.drain)
        mesh = Mesh(broker, "carts", others=("eu",))
        await stack.enter_async_context(running(carts.service, mesh))
        await stack.enter_async_context(running(identity.service, Mesh(broker, "identity", others=("eu",))))
        client = await stack.enter_async_context(gateway_client(Mesh(broker, "gateway")))
        yield Shop(regions, client, mesh)


ORDER = {"order_id": "o1", "lines": [LINE], "total": PRICE, "cart_id": "c1"}


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("$.order_id", {"order_id": "#1001"}),
        ("$.lines", {"lines": []}),
        ("$.lines", {"lines": [DOLLARS]}),
        ("$.total", {"total": 1299}),
        ("$.time", {"time": "2062-01-31T12:00:00Z"}),
        ("$.id", {"id": "no token"}),
        ("$.lines[0].price.amount", {"lines": [LINE | {"price": PRICE | {"amount": "12,99 €"}}]}),
    ],
)
async def test_a_refused_order_closes_its_shoppers_carts(shop, eventually, path, change):
    """Whatever is wrong with it, its buyer's cart is over, and every later decision finds the purchase."""
    await shop.fill("c1")
    await shop.fill("c2")

    async def known():
        return set((await read_profile(shop.mesh, "v1")).carts) == {"c1", "c2"}

    await eventually(known, within=60)
    answer = await shop.send("order_placed", **ORDER | change)

    assert (answer["accepted"], [one["path"] for one in answer["rejected"]]) == (0, [path])
    assert await shop.all(OrderPlaced) == []
    closed = await eventually(lambda: _two(shop), within=60)
    assert {one.event.cart_id for one in closed} == {"c1", "c2"}
    await eventually(lambda: not shop.timers(), within=60)
    bought = await purchases_of(shop.mesh, [visitor_digest("v1")])
    assert bought["us", visitor_digest("v1")] is not None
    (report,) = await shop.all(OrderReportRefused)
    assert (report.event.visitor_id, report.event.path) == ("v1", path)


async def _two(shop):
    closed = await shop.all(CartClosed)
    return closed if len(closed) == 2 else None


async def test_a_refused_order_without_a_visitor_closes_its_cart(shop, eventually):
    """The cart's id alone is enough, also with a shopper whose id is none."""
    await shop.fill("c1")

    await shop.send("order_placed", **ORDER | {"visitor_id": "no token"})

    assert [one.event.cart_id for one in await eventually(lambda: shop.all(CartClosed), within=60)] == ["c1"]
    assert await shop.all(PurchaseMarked) == []


async def test_a_refused_order_sent_again_changes_nothing(shop, eventually):
    """Its report has the id of its bytes."""
    time = datetime.now(UTC).isoformat()
    for _ in range(2):
        await shop.send("order_placed", **ORDER | {"id": "e1", "time": time, "lines": []})

    assert len(await shop.all(OrderReportRefused)) == 1
    assert len(await shop.all(PurchaseMarked)) == 1


async def test_an_order_from_whom_it_is_not_accepted_establishes_nothing(shop):
    """What only the shop's server may confirm, a page cannot use to close carts; nor a customer it only names."""
    await shop.fill("c1")

    await shop.send("order_confirmed", **ORDER | {"lines": []})
    await shop.send("order_placed", **ORDER | {"lines": [], "customer_id": "ada", "cart_id": None})

    (report,) = await shop.all(OrderReportRefused)
    assert (report.event.visitor_id, report.event.customer_id) == ("v1", None)


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("$.lines", {"lines": [LINE] * 201}),
        ("$.lines[0].quantity", {"lines": [LINE | {"quantity": 0}]}),
        ("$.lines", {"lines": [LINE, DOLLARS]}),
        ("$.visitor_id", {"visitor_id": "no token"}),
        ("$.lines", {"lines": None}),
        ("$.id", {"id": "e1", "lines": [LINE | {"quantity": 7}]}),
    ],
)
async def test_a_refused_update_outdates_the_cart(shop, path, change):
    """What was in the cart is no longer true: its timer is cancelled, and an abandonment of it is not answered."""
    await shop.fill("c1")
    (update,) = await shop.all(CartUpdated)
    cart = update.event
    line = CartLine(product_id="sku-1", quantity=2, price=Money(**PRICE))
    total = Money(amount=2598, currency="EUR")
    left = CartAbandoned(
        cart_id="c1", visitor_id="v1", lines=(line,), total=total, left_at=update.time, due=update.time
    )
    await shop.mesh.publish(left)
    (abandoned,) = await shop.all(CartAbandoned)

    answer = await shop.send("cart_updated", **{"cart_id": "c1", "lines": [LINE]} | change)

    assert [one["path"] for one in answer["rejected"]] == [path]
    history = await shop.mesh.history("c1", "cart")
    newest = history.of(CartUpdated)[-1].event
    assert (newest.visitor_id, newest.lines, newest.refused.startswith(path)) == (cart.visitor_id, (), True)
    assert cart_state(abandoned, history)[0] == "moved on"
    assert shop.timers() == set()


async def test_a_refused_update_of_the_same_lines_changes_nothing(shop):
    """An update sent again with its id and another time is refused; the cart is still what it was."""
    await shop.fill("c1")

    answer = await shop.send("cart_updated", id="e1", cart_id="c1", lines=[LINE])

    assert [one["path"] for one in answer["rejected"]] == ["$.id"]
    (update,) = await shop.all(CartUpdated)
    assert update.event.lines
    assert shop.timers() != set()


async def test_only_the_mesh_says_that_a_cart_was_refused(shop):
    """A page that writes the field itself is not believed, and its cart is taken."""
    answer = await shop.send("cart_updated", cart_id="c1", lines=[LINE], refused="nonsense")

    (update,) = await shop.all(CartUpdated)
    assert ([one["path"] for one in answer["ignored"]], update.event.refused) == (["$.refused"], None)


async def test_a_cart_is_offered_again_after_a_good_update(shop):
    """The next update that is accepted says what the cart holds."""
    await shop.fill("c1")
    await shop.send("cart_updated", cart_id="c1", lines=[LINE | {"quantity": 0}])

    await shop.fill("c1")

    assert shop.timers() == {"timer.us.cart.idle.c1"}


async def test_a_refused_old_update_outdates_nothing(shop):
    """What a queue held back for two minutes says nothing of the cart that was sent since."""
    await shop.fill("c1")

    old = (datetime.now(UTC) - timedelta(minutes=2)).isoformat()
    await shop.send("cart_updated", cart_id="c1", time=old, lines=[LINE | {"quantity": 0}])

    assert shop.timers() == {"timer.us.cart.idle.c1"}


async def test_a_refused_update_of_an_unknown_cart_stores_nothing(shop):
    """There is nothing to stop."""
    await shop.send("cart_updated", cart_id="c9", lines=[LINE | {"quantity": 0}])

    assert await shop.all(CartUpdated) == []


@pytest.mark.parametrize("change", [{"time": "2062-01-31T12:00:00Z"}, {"id": "no token"}])
async def test_a_refusal_is_obeyed_however_it_was_sent(shop, change):
    """Who forbids mail is not mailed because their clock is wrong; a permission that is refused is none."""
    for granted in (True, False):
        await shop.send("consent_changed", **{"channel": "email", "granted": granted} | change)

    (kept,) = await shop.all(ConsentChanged)
    assert (kept.event.channel, kept.event.granted, kept.event.by) == ("email", False, "page")
    assert kept.time <= datetime.now(UTC)
