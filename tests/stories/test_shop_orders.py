"""The demo shop's checkout: the real services of an order on a region in memory, and a payment provider over HTTP."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from mesh import Mesh, Retry
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartConverted, CartUpdated
from mesh.events.code import CodeChanged
from mesh.events.fraud import FraudCleared
from mesh.events.offer import OfferDecided
from mesh.events.order import OrderConfirmed, OrderCreated, OrderDeliveryAddressed, OrderPlaced
from mesh.events.stock import StockLevelChanged
from mesh.runtime.run import running
from services import gateway
from services.demo import storefront
from services.demo.flash_sale.records import read_books
from services.demo.storefront.catalogue import find, products
from services.demo.storefront.order_client import OrderClient
from services.demo.storefront.seeding import Seeding
from services.promotions.code_key import code_id
from tests.order_services import order_services

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHERE = {"name": "Ada", "street": "1 Main St", "postal_code": "05401", "city": "Burlington", "country": "US"}


@dataclass
class Shop:
    """A shop that takes orders: its pages, the region's log, and the provider's books."""

    pages: httpx.AsyncClient
    mesh: Mesh
    books: Path

    async def check_out(self, visitor, product, *, origin=None, **changes):
        """What the checkout page is answered: two pieces of a product, with a card that pays."""
        body = {
            "key": visitor.encode().hex().ljust(32, "0"),
            "lines": {product: 2},
            "total": dollars(find(product).price["USD"] * 2 if find(product) else 1),
            "card": "good",
            "delivery": WHERE,
            "visitor_id": visitor,
            "cart_id": f"cart-{visitor}",
        }
        own = str(self.pages.base_url).rstrip("/")
        sent = {name: value for name, value in (body | changes).items() if value is not None}
        return await self.pages.post("/checkout", json=sent, headers={"origin": origin or own})

    async def issued(self, code, eventually):
        """Wait until a code can be redeemed."""
        await eventually(lambda: self.mesh.last(CodeChanged, code_id(code)))

    async def states(self, order_id, lang="en"):
        """What an open page of the order is shown, one after the other, until the order has ended."""
        found = []
        async with (
            asyncio.timeout(120),
            self.pages.stream("GET", f"/orders/{order_id}/live?lang={lang}") as stream,
        ):
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    found.append(json.loads(line[6:]))
                    if found[-1]["status"] in ("shipping", "cancelled"):
                        return found
        raise AssertionError("the stream ended")

    async def available(self, product):
        """Pieces that can be sold."""
        return (await self.mesh.last(StockLevelChanged, product)).event.available

    def charges(self, order_id):
        """What the provider authorised and captured for an order."""
        return [(one.authorised, one.captured) for one in read_books(self.books) if one.order == order_id]


def dollars(amount):
    return {"amount": amount, "currency": "USD"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory):
    """The shop with its catalogue listed and its stock received."""
    region, patched = MemoryMesh("us"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patched.undo)
        patched.setenv("CARTMESH_SERVER_KEYS", "the-shops-own-server-key")
        entry = await _running(stack, region, gateway.service)
        patched.setenv("CARTMESH_URL_GATEWAY", f"http://127.0.0.1:{entry.port}")
        books = await stack.enter_async_context(
            order_services(region, tmp_path_factory.mktemp("books"), patched.setenv)
        )
        run = await _running(stack, region, storefront.service)
        seeding = run.provided[Seeding]
        await asyncio.wait_for(seeding.done.wait(), 120)
        assert seeding.outcome["received"] == len(products())
        pages = httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", timeout=60)
        operator = Mesh(region.broker("us"), "tests")
        yield Shop(await stack.enter_async_context(pages), operator, books / "charges.jsonl")


async def _running(stack, region, service):
    broker = region.broker("us")
    stack.push_async_callback(broker.drain)
    return await stack.enter_async_context(running(service, Mesh(broker, service.name), http=("127.0.0.1", 0)))


async def test_an_order_is_followed_until_it_is_paid(shop):
    """It is one order however often it is sent, also after an answer was lost; the page is shown each step."""
    first, again = await asyncio.gather(*(shop.check_out("ada", "whisk") for _ in range(2)))
    order_id = first.json()["order_id"]
    last = (await shop.states(order_id))[-1]
    changed = await shop.check_out("ada", "whisk", card="declined")

    created = (await shop.mesh.last(OrderCreated, order_id)).event
    confirmed = (await shop.mesh.last(OrderConfirmed, order_id)).event
    placed = (await shop.mesh.last(OrderPlaced, order_id)).event
    (address,) = (await shop.mesh.history(order_id, OrderDeliveryAddressed)).events
    assert {one.status_code for one in (first, again, changed)} == {201}
    assert {one.json()["order_id"] for one in (first, again, changed)} == {order_id}
    assert (last["status"], last["heading"]) == ("shipping", "Your order is confirmed.")
    assert [one["text"] for one in last["history"]] == [
        "We took your order.",
        "Your pieces are set aside and your card was accepted: confirmed.",
        "It is paid and goes to packing.",
    ]
    assert (last["number"], last["total"], last["lines"]) == (created.reference, "$57.00", {})
    assert (placed.cart_id, placed.visitor_id, placed.by) == ("cart-ada", "ada", "server")
    assert (confirmed.total, address.event.city) == (created.total, "Burlington")
    assert (await shop.available("whisk"), shop.charges(order_id)) == (58, [(5700, 5700)])


async def test_what_a_bank_declines_is_undone_and_the_reason_is_shown(shop):
    """In the page's language and currency: cancelled, nothing is charged, and the pieces can be bought again."""
    total = {"amount": find("scoop").price["EUR"] * 2, "currency": "EUR"}
    order_id = (await shop.check_out("ben", "scoop", card="declined", total=total)).json()["order_id"]

    last = (await shop.states(order_id, "de"))[-1]

    assert (last["status"], last["heading"]) == ("cancelled", "Ihre Bestellung ist storniert.")
    assert "Bank hat die Karte nicht angenommen" in last["sentence"]
    assert last["total"].endswith("\xa0€")
    assert last["lines"] == {"scoop": 2}
    assert await shop.available("scoop") == find("scoop").stock
    assert await shop.mesh.last(OrderConfirmed, order_id) is None
    assert shop.charges(order_id) == [(0, 0)]


async def test_the_last_pieces_are_sold_once(shop):
    """The product's page counts them, then says that they are sold out; who comes too late reads why."""
    few = (await shop.pages.get("/en/products/tetsubin")).text
    answers = [await shop.check_out(visitor, "tetsubin") for visitor in ("cleo", "dan")]
    ends = [(await shop.states(one.json()["order_id"]))[-1] for one in answers]
    after = (await shop.pages.get("/en/products/tetsubin")).text

    assert "Only 2 left" in few
    assert sorted(one["status"] for one in ends) == ["cancelled", "shipping"]
    assert "Somebody else bought the last piece" in next(one for one in ends if one["lines"])["sentence"]
    assert "Sold out" in after
    assert " disabled>Add to cart" in after


async def test_a_coupon_takes_off_what_was_decided_for_its_cart_and_once(shop, eventually):
    """For another cart, with another total, or for a second order of the cart it is refused."""
    whose = {"cart_id": "cart-eva", "visitor_id": "eva", "due": datetime.now(UTC)}
    decided = {"attempt": 1, "outcome": "approved", "reason": "", "checks": (), "journey": "j"}
    coupon = {"coupon": "HELLO", "discount_percent": 10}
    await shop.mesh.publish(CartUpdated(cart_id="cart-eva", visitor_id="eva", lines=()))
    await shop.mesh.publish(OfferDecided(offer_id="o1", abandonment_id="a1", **whose, **decided, **coupon))
    await shop.issued("HELLO", eventually)
    reduced = {"coupon": "HELLO", "total": dollars(5130)}

    elsewhere = await shop.check_out("eva", "whisk", **reduced, cart_id="cart-fay")
    cheaper = await shop.check_out("eva", "whisk", **reduced | {"total": dollars(1)})
    taken = await shop.check_out("eva", "whisk", **reduced)
    order_id = taken.json()["order_id"]
    await shop.mesh.publish(CartConverted(cart_id="cart-eva", order_id=order_id, visitor_id="eva"))
    again = await shop.check_out("eva", "whisk", **reduced)
    second = await shop.check_out("eva", "whisk", **reduced, key="f" * 32)

    order = (await shop.mesh.last(OrderCreated, order_id)).event
    assert [one.status_code for one in (elsewhere, cheaper, taken, again, second)] == [422, 422, 201, 201, 422]
    assert again.json() == taken.json()
    assert (order.coupon, order.total.amount) == ("HELLO", 5130)


async def test_a_coupon_that_was_decided_for_no_cart_holds_for_the_next_one(shop, eventually):
    """As a win-back mail's link brings it: for whatever is bought, once, and with what it was decided about."""
    decided = {"attempt": 1, "outcome": "approved", "reason": "", "checks": (), "journey": "j"}
    coupon = {"coupon": "AGAIN", "discount_percent": 10, "trigger": "no order since", "due": datetime.now(UTC)}
    await shop.mesh.publish(
        OfferDecided(offer_id="o7", abandonment_id="a7", cart_id="no-7", visitor_id="hal", **decided, **coupon)
    )
    await shop.issued("AGAIN", eventually)
    reduced = {"coupon": "AGAIN", "total": dollars(5130)}

    alone = await shop.check_out("hal", "whisk", **reduced)
    taken = await shop.check_out("hal", "whisk", **reduced, about="no-7")
    again = await shop.check_out("hal", "whisk", **reduced, about="no-7")
    second = await shop.check_out("hal", "whisk", **reduced, about="no-7", key="e" * 32)

    assert [one.status_code for one in (alone, taken, again, second)] == [422, 201, 201, 422]
    assert again.json() == taken.json()
    order = (await shop.mesh.last(OrderCreated, taken.json()["order_id"])).event
    assert (order.coupon, order.total.amount) == ("AGAIN", 5130)


async def test_only_the_shops_own_pages_order(shop):
    """Another site's page, a product that is not sold, a key that can be guessed: refused, and nothing is stored."""
    before = len([one async for one in shop.mesh.read(OrderCreated)])
    elsewhere = await shop.check_out("gil", "whisk", origin="https://evil.example")
    unknown = await shop.check_out("gil", "castle")
    guessed = await shop.check_out("gil", "whisk", key="1")
    missing = await shop.pages.get("/en/orders/" + "0" * 32)

    assert [one.status_code for one in (elsewhere, unknown, guessed, missing)] == [403, 422, 400, 404]
    assert len([one async for one in shop.mesh.read(OrderCreated)]) == before


async def test_who_is_not_recorded_orders_as_a_guest(shop):
    """Under no visitor and no cart; the fraud check judges the order all the same."""
    answer = await shop.check_out("guest", "whisk", visitor_id=None, cart_id=None)
    order_id = answer.json()["order_id"]
    await shop.states(order_id)

    order = (await shop.mesh.last(OrderCreated, order_id)).event
    assert (order.visitor_id, order.cart_id, order.customer_id) == (None, None, f"guest-{order.reference}")
    assert await shop.mesh.last(OrderPlaced, order_id) is None
    assert await shop.mesh.last(FraudCleared, order_id) is not None


async def test_while_nobody_answers_for_orders_the_shopper_is_asked_to_try_again(shop):
    """The next try is the same order: its number follows from the checkout."""
    async with httpx.AsyncClient(base_url="http://127.0.0.1:1") as nobody:
        client = OrderClient(nobody, nobody, "key")
        with pytest.raises(Retry):
            await client.place("0" * 32, {})

    assert client.reference_of("0" * 32) == client.reference_of("0" * 32) != client.reference_of("1" * 32)
