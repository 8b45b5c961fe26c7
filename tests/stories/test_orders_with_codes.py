"""Orders with a coupon code, through the whole checkout in memory: reduced, redeemed, and given back."""

import os
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.checkout import CheckoutAdvanced
from mesh.events.code import CodeChanged, Discount
from mesh.events.order import OrderCreated
from mesh.events.product import ProductListed
from mesh.events.stock import StockLevelChanged
from services.promotions.code_key import code_id
from tests.order_services import order_services

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = {"authorization": "Bearer secret"}


class Shop:
    """The shop's server before the region's orders."""

    def __init__(self, mesh, orders, codes, eventually):
        self.mesh, self._orders, self._codes, self._eventually, self._keys = mesh, orders, codes, eventually, 0

    async def issue(self, code, discount, **fields):
        expires = datetime.now(UTC) + timedelta(days=1)
        key = code_id(code)
        await self.mesh.publish(
            CodeChanged(code_id=key, code=code, state="free", discount=discount, expires=expires, **fields)
        )

    async def order(self, *, method="card_ok", key=None, **fields):
        self._keys += 1
        body = {
            "lines": [{"product_id": "tea", "quantity": 2}],
            "payment_method": method,
            "customer_id": "ada",
        } | fields
        headers = KEY | {"idempotency-key": key or f"k{self._keys}"}
        return await self._orders.post("/v1/orders", json=body, headers=headers)

    async def state(self, code):
        found = await self.mesh.last(CodeChanged, code_id(code))
        return found.event.state

    async def ended(self, answer, step):
        """The order once its checkout has come to a step."""
        order_id = answer.json()["order"]["order_id"]

        async def there():
            state = await self.mesh.last(CheckoutAdvanced, order_id)
            return state.event if state and state.event.step == step else None

        await self._eventually(there)
        return (await self.mesh.last(OrderCreated, order_id)).event


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory, eventually):
    """All services of orders, and tea, a cup and a gift in stock."""
    regions, patched = MemoryMesh("us"), pytest.MonkeyPatch()
    patched.setenv("CARTMESH_SERVER_KEYS", "secret")
    async with order_services(regions, tmp_path_factory.mktemp("books"), patched.setenv):
        broker = regions.broker("us")
        mesh = Mesh(broker, "tests")
        for product_id, cents in (("tea", 1299), ("cup", 500), ("gift", 900)):
            await mesh.publish(ProductListed(product_id=product_id, price=Money(amount=cents, currency="EUR")))
        address = {name: os.environ[f"CARTMESH_URL_{name}"] for name in ("ORDERS", "PROMOTIONS", "STOCK")}
        async with httpx.AsyncClient(timeout=60) as client:
            for sku in ("tea", "cup", "gift"):
                command = {"id": sku, "sku": sku, "warehouse": "w", "quantity": 50}
                assert (await client.post(f"{address['STOCK']}/v1/stock/receive", json=command, headers=KEY)).is_success
        async with (
            httpx.AsyncClient(base_url=address["ORDERS"], timeout=60) as orders,
            httpx.AsyncClient(base_url=address["PROMOTIONS"], timeout=60) as codes,
        ):
            yield Shop(mesh, orders, codes, eventually)
        await broker.drain()
    patched.undo()


async def test_a_percentage_is_taken_off_and_the_code_redeemed_once(shop):
    """The order costs less, another order cannot have the code, and the same request again is the same order."""
    await shop.issue("TEN", Discount(percent=10))

    answer = await shop.order(coupon="ten", total={"amount": 2338, "currency": "EUR"}, key="k")
    again = await shop.order(coupon="ten", total={"amount": 2338, "currency": "EUR"}, key="k")
    other = await shop.order(coupon="TEN")
    created = await shop.ended(answer, "finished")

    assert (answer.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert "cannot be redeemed" in other.json()["detail"]
    assert (created.total.amount, created.code.off.amount, created.lines[0].price.amount) == (2338, 260, 1169)
    assert await shop.state("TEN") == "redeemed"


async def test_a_declined_payment_gives_the_code_back(shop):
    """The next order can have it."""
    await shop.issue("FIVE", Discount(kind="amount", amounts=(Money(amount=500, currency="EUR"),)))
    cart = [{"product_id": "tea", "quantity": 2}, {"product_id": "cup", "quantity": 1}]

    declined = await shop.order(method="card_declined", coupon="FIVE", lines=cart)
    await shop.ended(declined, "undone")

    async def free():
        return await shop.state("FIVE") == "free"

    await shop._eventually(free)
    second = await shop.order(coupon="FIVE", lines=cart)
    created = await shop.ended(second, "finished")
    assert (created.total.amount, created.code.off.amount) == (2598 + 500 - 500, 500)
    assert await shop.state("FIVE") == "redeemed"


async def test_a_gift_is_a_line_at_nothing_and_is_reserved_like_any_other(shop):
    """It leaves the stock with the order."""
    await shop.issue("GIFT", Discount(kind="gift", product_id="gift"))
    await shop.issue("SHIP", Discount(kind="free_shipping"))

    with_gift = await shop.ended(await shop.order(coupon="GIFT"), "finished")
    shipped = await shop.ended(await shop.order(coupon="SHIP"), "finished")

    assert [(one.product_id, one.quantity, one.price.amount) for one in with_gift.lines][1:] == [("gift", 1, 0)]
    assert (await shop.mesh.last(StockLevelChanged, "gift")).event.sold == 1
    assert (shipped.total.amount, shipped.code.discount.kind, shipped.code.off.amount) == (2598, "free_shipping", 0)


async def test_a_code_that_is_refused_or_whose_total_is_wrong_takes_no_order(shop):
    """And stays free; an order that names what it takes off itself is taken as before."""
    await shop.issue("TENTH", Discount(percent=10))

    unknown = await shop.order(coupon="NEVER")
    wrong = await shop.order(coupon="TENTH", total={"amount": 2598, "currency": "EUR"})
    all_off = await shop.order(coupon="NEVER", discount_percent=10)

    assert [one.status_code for one in (unknown, wrong, all_off)] == [422, 422, 201]
    assert "by the catalogue it is 23.38 EUR" in wrong.json()["detail"]
    assert await shop.state("TENTH") == "free"
