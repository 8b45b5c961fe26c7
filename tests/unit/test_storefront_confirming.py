"""The demo shop's server confirms orders, but not whatever a page claims."""

import msgspec
import pytest

from mesh import Money
from mesh.events.cart import CartLine
from mesh.events.order import OrderPlaced
from services.demo.storefront.catalogue import money, products
from services.demo.storefront.confirming import is_genuine

SOLD = products()[0]
PRICE = money(SOLD, "EUR")
LINE = CartLine(product_id=SOLD.product_id, quantity=2, price=PRICE)
ORDER = OrderPlaced(order_id="o1", visitor_id="v1", lines=(LINE,), total=PRICE * 2)


def test_an_order_of_what_the_shop_sells_is_genuine():
    """At the shop's prices, with or without a discount on the total."""
    assert is_genuine(ORDER)
    assert is_genuine(msgspec.structs.replace(ORDER, total=PRICE))


@pytest.mark.parametrize(
    "claim",
    [
        {"lines": (msgspec.structs.replace(LINE, price=Money(amount=1, currency="EUR")),)},
        {"lines": (msgspec.structs.replace(LINE, price=Money(amount=1, currency="CHF")),)},
        {"lines": (msgspec.structs.replace(LINE, product_id="a-castle"),)},
        {"total": Money(amount=10**8, currency="EUR")},
    ],
)
def test_what_a_page_merely_claims_is_not(claim):
    """Another price, another currency, another shop's product or a total beyond its lines."""
    assert not is_genuine(msgspec.structs.replace(ORDER, **claim))
