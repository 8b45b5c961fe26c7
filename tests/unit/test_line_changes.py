"""Reports of what was added to a cart and removed make the same cart, in whatever order they arrive."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.events.cart import CartClosed, CartConverted, CartIdle, CartLineAdded, CartLineRemoved, CartUpdated
from mesh.money import Money
from services.carts.line_changes import told_in_order

START = datetime(2026, 5, 1, tzinfo=UTC)
KEY = {"authorization": "Bearer demo"}
PRICE = {"amount": 1299, "currency": "EUR"}


@pytest.fixture
async def cart(mesh, gateway_client) -> AsyncIterator:
    """Report changes of one cart at a second, and see what it holds."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(gateway_client(mesh))
        began = datetime.now(UTC) - timedelta(minutes=2)

        class Cart:
            async def report(self, type_, id_, at, product_id="sku-1", **fields):
                event = {
                    "id": id_,
                    "type": type_,
                    "time": (began + timedelta(seconds=at)).isoformat(),
                    "visitor_id": "v1",
                    "cart_id": "c1",
                    "product_id": product_id,
                }
                answer = await client.post("/v1/events", json={"events": [event | fields]}, headers=KEY)
                return answer.json()

            async def add(self, id_, at, quantity=1, product_id="sku-1", price=PRICE):
                return await self.report("cart_line_added", id_, at, product_id, quantity=quantity, price=price)

            async def remove(self, id_, at, product_id="sku-1", **fields):
                return await self.report("cart_line_removed", id_, at, product_id, **fields)

            async def order(self, id_, at):
                lines = [{"product_id": "sku-1", "quantity": 1, "price": PRICE}]
                return await self.report("order_placed", id_, at, order_id=id_, lines=lines, total=PRICE)

            async def lines(self):
                newest = await mesh.last(CartUpdated, "c1")
                return {line.product_id: line.quantity for line in newest.event.lines}

        yield Cart()


async def test_changes_add_up_to_a_whole_cart_with_one_timer(cart, regions):
    """What is added twice counts twice, what is removed is gone, and the timer stands for the newest."""
    await cart.add("e1", 1)
    await cart.add("e2", 2, 2)
    await cart.add("e3", 3, product_id="sku-2")
    await cart.remove("e4", 4, quantity=1)

    assert await cart.lines() == {"sku-1": 2, "sku-2": 1}
    log = regions.regions["us"].logs["COMMERCE_us"].messages.values()
    assert len({message.subject for message in log if message.subject.startswith("timer.")}) == 1


async def test_a_cart_that_is_emptied_has_no_lines(cart, mesh):
    """Removed without a quantity, a product is gone; the cart is empty, and nothing waits for it."""
    await cart.add("e1", 1, 3)
    await cart.remove("e2", 2)

    assert await cart.lines() == {}
    assert [one async for one in mesh.read(CartIdle)] == []


async def test_a_change_that_is_sent_again_counts_once(cart):
    """A library that got no answer sends the same call again."""
    answers = [await cart.add("e1", 1) for _ in range(3)]

    assert [one["duplicates"] for one in answers] == [0, 1, 1]
    assert await cart.lines() == {"sku-1": 1}


async def test_what_is_removed_before_it_is_known_to_be_added_is_not_in_the_cart(cart):
    """The two calls were sent by different connections; their times say which came first."""
    await cart.remove("e2", 2, quantity=1)
    await cart.add("e1", 1)

    assert await cart.lines() == {}


async def test_after_an_order_a_cart_begins_anew(cart):
    """A shop that does not name its carts has one for each visitor, for ever."""
    await cart.add("e1", 1, 2)
    await cart.order("o1", 2)
    await cart.add("e2", 3, product_id="sku-2")

    assert await cart.lines() == {"sku-2": 1}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"product_id": "sku-2", "price": {"amount": 1, "currency": "USD"}}, "$.price.currency"),
        ({"quantity": 1000}, "$.quantity"),
        ({"price": None}, "$.price"),
    ],
)
async def test_after_a_refused_change_the_cart_is_unknown_until_it_is_sent_whole(cart, mesh, change, path):
    """A second currency, too many pieces, no price: nobody may be written to about what is left."""
    await cart.add("e1", 1)

    refused = await cart.add("e2", 2, **change)
    await cart.add("e3", 3)
    unknown = (await mesh.last(CartUpdated, "c1")).event
    await cart.report("cart_updated", "e4", 4, lines=[{"product_id": "sku-3", "quantity": 1, "price": PRICE}])
    await cart.add("e5", 5)

    assert [one["path"] for one in refused["rejected"]] == [path]
    assert (unknown.lines, unknown.refused is not None) == ((), True)
    assert await cart.lines() == {"sku-3": 1, "sku-1": 1}


def changes():
    """A change at a second, no two at the same one."""
    product = st.sampled_from(["a", "b"])
    quantity = st.integers(1, 3)
    return st.lists(st.tuples(st.sampled_from("+-*."), product, quantity), max_size=12)


@given(changes(), st.randoms())
def test_order_of_arrival_makes_no_difference(told, random):
    """Told by their times, changes, whole carts and orders come to the same lines however they arrived."""
    events = [(START + timedelta(seconds=at), 0, _event(*one)) for at, one in enumerate(told)]
    shuffled = list(events)
    random.shuffle(shuffled)
    arrived = [(time, place, event) for place, (time, _, event) in enumerate(shuffled)]

    expected: dict[str, int] = {}
    for kind, product, quantity in told:
        match kind:
            case "+":
                expected[product] = expected.get(product, 0) + quantity
            case "-":
                expected[product] = max(expected.get(product, 0) - quantity, 0)
            case "*" | ".":
                expected = {}
    lines, _ = told_in_order(arrived)
    assert {name: line.quantity for name, line in lines.items()} == {k: v for k, v in expected.items() if v}


def _event(kind, product, quantity):
    price = Money(amount=100, currency="EUR")
    shared = {"cart_id": "c", "visitor_id": "v"}
    match kind:
        case "+":
            return CartLineAdded(**shared, product_id=product, quantity=quantity, price=price)
        case "-":
            return CartLineRemoved(**shared, product_id=product, quantity=quantity)
        case "*":
            return CartConverted(**shared, order_id="o")
        case _:
            return CartClosed(**shared, order_id="o", region="eu")
