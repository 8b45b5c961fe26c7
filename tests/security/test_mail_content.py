"""What a page's key can put into a mail: nothing that leads away from the shop, and no price but the shop's."""

import pytest

from mesh import Mesh
from mesh.events.cart import CartLine
from mesh.events.product import ProductListed
from mesh.events.user import Recommendation
from mesh.money import Money
from notifications.channels.content import current_content
from tests.approved_offer import approved_offer

SHOP = "https://shop.example"


def euros(amount):
    return Money(amount=amount, currency="EUR")


def line(product="p1", **more):
    return CartLine(product_id=product, quantity=2, price=euros(4500), **more)


def decided(*lines, recommended=()):
    total = Money.sum(one.price * one.quantity for one in lines)
    return approved_offer(lines=lines, recommended=recommended, total=total)


@pytest.fixture
def mesh(regions, monkeypatch):
    monkeypatch.setenv("CARTMESH_SHOP_URL", SHOP)
    monkeypatch.setenv("CARTMESH_SHOP_HOSTS", "cdn.example")
    return Mesh(regions.broker("us"), "tests")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (f"{SHOP}/lamp", True),
        ("https://cdn.example/lamp.png", True),
        ("https://evil.example/shop.example", False),
        ("https://shop.example@evil.example/", False),
        ("https://shop.example.evil.example/", False),
        ("javascript:alert(1)//shop.example", False),
        ("https://[broken", False),
    ],
)
async def test_a_product_that_is_not_listed_links_to_the_shop_alone(mesh, given, kept):
    """A foreign link or picture is left out, and the line stays."""
    offered = await current_content(decided(line(url=given, image=given, name="Your account is locked")), mesh)

    (shown,) = offered.lines
    assert (shown.url, shown.image) == ((given, given) if kept else (None, None))


async def test_a_listed_product_is_shown_as_the_shop_lists_it(mesh):
    """Name, link, picture and price of the page are overwritten, and the total follows the price."""
    listed = ProductListed(
        product_id="p1", name="Lamp", url=f"{SHOP}/lamp", image="https://pictures.example/1", price=euros(5000)
    )
    await mesh.publish(listed)

    offered = await current_content(decided(line(name="Your account is locked", url="https://evil.example/")), mesh)

    (shown,) = offered.lines
    assert (shown.name, shown.url, shown.image, shown.price) == (listed.name, listed.url, listed.image, listed.price)
    assert offered.total == euros(10000)


async def test_what_cannot_be_bought_any_more_is_left_out(mesh):
    """Of two lines one is left; of none an offer of nothing."""
    await mesh.publish(ProductListed(product_id="p1", available=False))

    both = await current_content(decided(line("p1"), line("p2")), mesh)
    one = await current_content(decided(line("p1")), mesh)

    assert ([shown.product_id for shown in both.lines], both.total) == (["p2"], euros(9000))
    assert one.lines == ()


async def test_recommended_is_what_can_be_bought_in_the_carts_currency(mesh):
    """No other currency, nothing unavailable, nothing that the shop does not recommend."""
    await mesh.publish(ProductListed(product_id="sold-out", price=euros(100), available=False))
    await mesh.publish(ProductListed(product_id="gift-wrap", price=euros(100), recommendable=False))
    prices = {"dollars": Money(amount=100, currency="USD"), "unpriced": None}
    names = ("good", "sold-out", "gift-wrap", "dollars", "unpriced")
    recommended = tuple(
        Recommendation(product_id=one, reason="popular", price=prices.get(one, euros(100))) for one in names
    )

    offered = await current_content(decided(line(), recommended=recommended), mesh)

    assert [one.product_id for one in offered.recommended] == ["good"]
