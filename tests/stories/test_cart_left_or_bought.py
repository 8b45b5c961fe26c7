"""The life of a cart in memory: left, touched, bought here, bought elsewhere, won back."""

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh, Money, Unchanged
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartIdle, CartLine, CartRecovered, CartUpdated
from mesh.events.offer import OfferSent
from mesh.events.order import PurchaseMarked
from mesh.profiles import read_profile, visitor_digest
from mesh.publish import Cause, Draft
from mesh.runtime.run import running
from mesh.timers import Timer
from services import carts, identity
from services.carts.fold import fold

PAGE, SERVER = {"authorization": "Bearer demo"}, {"authorization": "Bearer secret"}
LINE = {"product_id": "sku-1", "quantity": 2, "price": {"amount": 1299, "currency": "EUR"}}
TOTAL = Money(amount=1299, currency="EUR")
LINES = (CartLine(product_id="sku-1", quantity=2, price=TOTAL),)
SOON = timedelta(seconds=1.5)
"""Time enough, on a busy machine too, for what a test does before the cart is left."""


class Shop:
    """A region's gateway, as a storefront sees it, and what is stored."""

    def __init__(self, region, client, mesh):
        self.region, self.client, self.mesh = region, client, mesh
        self.sent = 0

    def event(self, type_, *, visitor="v1", ago=0.0, **fields):
        self.sent += 1
        time = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
        return {"id": f"{self.region}-{self.sent}", "type": type_, "time": time, "visitor_id": visitor, **fields}

    async def send(self, *events):
        by_server = any(event["type"] == "order_confirmed" or "customer_id" in event for event in events)
        headers = SERVER if by_server else PAGE
        answer = await self.client.post("/v1/events", json={"events": events}, headers=headers)
        assert answer.json()["rejected"] == []

    async def submit(self, type_, **fields):
        event = self.event(type_, **fields)
        await self.send(event)
        return event["id"]

    async def fill(self, cart_id="c1", **more):
        return await self.submit("cart_updated", cart_id=cart_id, lines=more.pop("lines", [LINE]), **more)

    async def buy(self, order_id="o1", **more):
        more = {"lines": [LINE], "total": LINE["price"]} | more
        return await self.submit("order_placed", order_id=order_id, **more)

    async def confirm(self, order_id="o1", **more):
        return await self.submit("order_confirmed", order_id=order_id, lines=[LINE], total=LINE["price"], **more)

    async def happened(self, cart_id="c1"):
        return [type(received.event).__name__ for received in await self.mesh.history(cart_id, "cart")]

    async def all(self, kind):
        return [received async for received in self.mesh.read(kind)]


@pytest.fixture
async def shops(regions, monkeypatch, gateway_client):
    """Gateway and carts at work in `us` and `eu`; carts count as left after `SOON`."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", "secret")
    monkeypatch.setenv("CARTMESH_ABANDON_AFTER", f"{int(SOON.total_seconds() * 1000)}ms")
    async with AsyncExitStack() as stack:
        opened = {}
        for region, other in (("us", "eu"), ("eu", "us")):
            broker = regions.broker(region)
            stack.push_async_callback(broker.drain)
            mesh = Mesh(broker, "carts", others=(other,))
            await stack.enter_async_context(running(carts.service, mesh))
            await stack.enter_async_context(running(identity.service, Mesh(broker, "identity", others=(other,))))
            client = await stack.enter_async_context(gateway_client(Mesh(broker, "gateway")))
            opened[region] = Shop(region, client, mesh)
        yield opened


@pytest.fixture
def us(shops):
    return shops["us"]


async def quiet():
    """Long enough for a timer to fire and be judged."""
    await asyncio.sleep(2 * SOON.total_seconds())


async def test_a_cart_that_is_left_is_abandoned_once(us, eventually):
    """The abandonment carries the cart, when it was left, and when its timer was due."""
    await us.fill(customer_id="ada", session_id="s1")

    (left,) = await eventually(lambda: us.all(CartAbandoned))

    (update,) = await us.all(CartUpdated)
    abandoned = left.event
    assert (abandoned.lines, abandoned.total) == (LINES, Money(amount=2598, currency="EUR"))
    assert (abandoned.visitor_id, abandoned.customer_id, abandoned.session_id) == ("v1", "ada", "s1")
    assert abandoned.left_at == update.time
    assert timedelta(0) <= left.stored - abandoned.due < timedelta(seconds=10)
    await quiet()
    assert len(await us.all(CartAbandoned)) == 1


async def test_an_abandonment_names_its_update_and_is_the_same_whichever_timer_fired(regions):
    """Two timers of one update, as of one that was overtaken: one id, so that one is stored; one condition."""
    mesh = Mesh(regions.broker("us"), "carts")
    now = datetime.now(UTC)
    await mesh.publish(
        Draft(event=CartUpdated(cart_id="c1", visitor_id="v1", lines=LINES), id="u1", time=now - timedelta(seconds=1))
    )
    for _ in range(2):
        await mesh.publish(CartIdle(cart_id="c1", update_id="u1"))
    both = [received async for received in mesh.read(CartIdle)]

    made = [[change async for change in carts.abandon_cart(idle, mesh)] for idle in both]

    ((first, condition), (second, _)) = made
    assert first.event.update_id == "u1"
    assert both[0].id != both[1].id
    assert first.id == second.id
    assert condition == Unchanged(CartConverted, "c1", 0)
    for changes in made:
        await mesh.publish(*changes)
    assert len([received async for received in mesh.read(CartAbandoned)]) == 1


async def test_a_cart_that_was_bought_is_not_abandoned(us):
    """An order in time ends the waiting."""
    filled = us.event("cart_updated", cart_id="c1", lines=[LINE])
    bought = us.event("order_placed", order_id="o1", lines=[LINE], total=LINE["price"], cart_id="c1")
    await us.send(filled, bought)

    await quiet()

    assert await us.happened() == ["CartUpdated", "CartConverted"]


async def test_a_cart_that_is_touched_waits_again(us, eventually):
    """Each update begins the waiting anew; the abandonment is of the newest."""
    for quantity in (1, 2, 3):
        await us.fill(lines=[LINE | {"quantity": quantity}])
        await asyncio.sleep(0.1)

    async def newest_is_left():
        return [r for r in await us.all(CartAbandoned) if r.event.lines[0].quantity == 3]

    assert await eventually(newest_is_left)
    assert all(r.stored - r.event.left_at >= SOON for r in await us.all(CartAbandoned))


async def test_an_emptied_cart_is_not_abandoned(us):
    """There is nothing left to offer."""
    await us.send(*(us.event("cart_updated", cart_id="c1", lines=lines) for lines in ([LINE], [])))

    await quiet()

    assert await us.happened() == ["CartUpdated", "CartUpdated"]


async def test_a_cart_that_is_filled_and_left_again_is_abandoned_again(us, eventually):
    """Each leaving is an abandonment of its own."""
    await us.fill()
    await eventually(lambda: us.all(CartAbandoned))

    await us.fill(lines=[LINE | {"quantity": 5}])

    both = await eventually(lambda: _at_least(us, CartAbandoned, 2))
    assert [left.event.lines[0].quantity for left in both] == [2, 5]


async def _at_least(shop, kind, count):
    found = await shop.all(kind)
    return found if len(found) >= count else None


async def test_an_update_overtaken_on_its_way_does_no_harm(us, eventually):
    """An older update behind a newer one replaces its timer, and yet the newer cart is abandoned, when due."""
    await us.fill(lines=[LINE | {"quantity": 3}])
    (newer,) = await us.all(CartUpdated)
    await us.fill(ago=0.4)

    (left,) = await eventually(lambda: us.all(CartAbandoned))

    assert (left.event.left_at, left.event.lines[0].quantity) == (newer.time, 3)
    assert left.stored >= newer.time + SOON


async def test_a_purchase_on_another_device_closes_the_cart(us, eventually):
    """A customer who buys on the phone has no open cart on the laptop."""
    await us.submit("customer_identified", email="ada@example.com", customer_id="ada", visitor="laptop")
    await eventually(lambda: _shopper_knows(us, "laptop"))
    await us.fill(visitor="laptop")
    await us.buy(visitor="phone", customer_id="ada", cart_id="c2")

    await eventually(lambda: us.all(CartClosed))
    await quiet()

    assert "CartAbandoned" not in await us.happened()


async def _carts_of(shop, visitor):
    return (await read_profile(shop.mesh, visitor)).carts


async def _shopper_knows(shop, visitor):
    return (await read_profile(shop.mesh, visitor)).names


async def test_a_purchase_in_another_region_closes_the_cart_at_home(shops, us, eventually):
    """Who buys in eu gets no offer for the cart that they left in us; the order is named with its region."""
    await us.fill(customer_id="ada")
    await eventually(lambda: _carts_of(us, "v1"))

    await shops["eu"].buy(visitor="elsewhere", customer_id="ada")

    (closed,) = await eventually(lambda: us.all(CartClosed))
    assert (closed.event.order_id, closed.event.region) == ("o1", "eu")
    await quiet()
    assert await us.happened() == ["CartUpdated", "CartClosed"]


async def test_the_same_cart_bought_in_another_region_is_closed_and_recovered(shops, us, eventually):
    """A cart that follows its shopper to another region ends at home too, and the offer that won it is credited."""
    await us.fill()
    await us.mesh.publish(OfferSent(cart_id="c1", visitor_id="v1", offer_id="offer-1", channel="email"))

    await shops["eu"].confirm(visitor="someone-else", cart_id="c1")

    (recovered,) = await eventually(lambda: us.all(CartRecovered))
    assert (recovered.event.offer_id, recovered.event.order_id) == ("offer-1", "o1")
    assert await eventually(lambda: us.all(CartClosed))


async def test_a_purchase_that_was_consumed_first_is_found_when_the_timer_fires(regions, eventually):
    """A cart that no index knew when its shopper bought elsewhere is closed, not abandoned, once its timer fires."""
    broker = regions.broker("us")
    mesh = Mesh(broker, "carts", others=("eu",))
    now = datetime.now(UTC)
    far = Mesh(regions.broker("eu"), "gateway", others=("us",))
    await far.publish(PurchaseMarked(shopper=visitor_digest("v1"), order_id="o1"))
    await eventually(lambda: mesh.last(PurchaseMarked, visitor_digest("v1"), region="eu"))
    update = CartUpdated(cart_id="c1", visitor_id="v1", lines=LINES)
    await mesh.publish(
        Draft(event=update, id="u1", time=now - timedelta(seconds=1)),
        Timer(CartIdle(cart_id="c1", update_id="u1"), now),
        cause=Cause(id="u1", source="gateway"),
    )
    (idle,) = await eventually(lambda: _all(mesh, CartIdle))

    changes = [change async for change in carts.abandon_cart(idle, mesh)]

    assert changes[0].event == CartClosed(cart_id="c1", visitor_id="v1", order_id="o1", region="eu")
    await broker.drain()


async def _all(mesh, kind):
    return [received async for received in mesh.read(kind)]


async def test_a_cart_begun_after_the_purchase_stays_open(us, eventually):
    """A shopper who bought and fills a new cart has a new cart, which may be abandoned."""
    await us.buy(order_id="o1")
    await us.fill()

    assert await eventually(lambda: us.all(CartAbandoned))
    assert await us.all(CartClosed) == []


OTHER = LINE | {"product_id": "sku-2", "quantity": 1}


async def _bought_on_the_phone(shop, eventually):
    """The laptop's cart is filled, and its shopper buys the same on the phone."""
    await shop.submit("customer_identified", email="ada@example.com", customer_id="ada", visitor="laptop")
    await eventually(lambda: _shopper_knows(shop, "laptop"), within=60)
    await shop.fill(visitor="laptop", ago=20)
    await shop.buy(visitor="phone", customer_id="ada", ago=10)


async def test_what_the_phone_bought_is_not_offered_when_the_laptop_lists_it_again(us, eventually):
    """An update after the purchase lists the bought line and a new one: only the new one is left."""
    await _bought_on_the_phone(us, eventually)
    await us.buy(order_id="o2", visitor="phone", customer_id="ada", lines=[LINE | {"product_id": "sku-9"}], ago=5)

    await us.fill(visitor="laptop", lines=[LINE, OTHER])

    (left,) = await eventually(lambda: us.all(CartAbandoned), within=60)
    assert [line.product_id for line in left.event.lines] == ["sku-2"]
    assert left.event.total == TOTAL


@pytest.mark.parametrize("emptied", [False, True])
async def test_a_stale_tab_that_repeats_what_was_ordered_leaves_no_cart(us, eventually, emptied):
    """All its lines are bought, also where the shop had emptied the cart: it is closed with the order."""
    await us.fill(ago=20)
    await us.buy(cart_id="c1", ago=10)
    if emptied:
        await us.fill(lines=[], ago=9)

    await us.fill()

    (closed,) = await eventually(lambda: us.all(CartClosed), within=60)
    assert (closed.event.cart_id, closed.event.order_id) == ("c1", "o1")
    assert await us.all(CartAbandoned) == []


async def test_what_is_added_after_its_purchase_is_a_line_like_any_other(us, eventually):
    """Who buys two and puts a third into the cart, which still lists the two, is offered the third."""
    await _bought_on_the_phone(us, eventually)

    await us.fill(visitor="laptop", lines=[LINE | {"quantity": 3}])

    (left,) = await eventually(lambda: us.all(CartAbandoned), within=60)
    assert [line.quantity for line in left.event.lines] == [1]
    assert left.event.total == TOTAL


async def test_a_confirmed_order_behind_an_offer_is_a_recovery_once(us, eventually):
    """Once the shop's server confirms it; the same cart bought again without a new offer is none."""
    await us.fill()
    await us.mesh.publish(OfferSent(cart_id="c1", visitor_id="v1", offer_id="offer-1", channel="email"))
    await us.buy(cart_id="c1")
    await quiet()
    assert await us.all(CartRecovered) == []
    await us.confirm(cart_id="c1")

    (recovered,) = await eventually(lambda: us.all(CartRecovered))
    await us.fill()
    await us.confirm(order_id="o2", cart_id="c1")
    await quiet()

    assert recovered.event == CartRecovered(
        cart_id="c1", visitor_id="v1", order_id="o1", offer_id="offer-1", value=TOTAL
    )
    assert len(await us.all(CartRecovered)) == 1


async def test_an_order_without_an_offer_is_no_recovery(us):
    """Who buys unaided was not won back."""
    await us.fill()
    await us.confirm(cart_id="c1")

    await quiet()

    assert await us.all(CartRecovered) == []


async def test_each_cart_is_what_its_history_makes_it(us, eventually):
    """One that was left is abandoned, one that was bought is converted."""
    await us.fill()
    await us.fill(cart_id="c2", visitor="v2")
    await us.buy(cart_id="c2", visitor="v2")

    async def reached():
        status = {key: fold(key, await us.mesh.history(key, "cart")).status for key in ("c1", "c2")}
        return status == {"c1": "abandoned", "c2": "converted"}

    assert await eventually(reached)


async def test_no_cart_is_abandoned_behind_its_purchase(us):
    """The order races the idle timer, 200 times around the due moment: never an abandonment stored behind the order."""

    async def race(number):
        cart_id = f"race-{number}"
        await us.fill(cart_id=cart_id, visitor=cart_id)
        await asyncio.sleep(SOON.total_seconds() + random.uniform(-0.05, 0.05))
        await us.buy(order_id=cart_id, cart_id=cart_id, visitor=cart_id)

    for start in range(0, 200, 50):
        await asyncio.gather(*(race(number) for number in range(start, start + 50)))
    await quiet()

    converted = {received.event.cart_id: received.sequence for received in await us.all(CartConverted)}
    late = [r.event.cart_id for r in await us.all(CartAbandoned) if r.sequence > converted[r.event.cart_id]]
    assert (len(converted), late) == (200, [])
