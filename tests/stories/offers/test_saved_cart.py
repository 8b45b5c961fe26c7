"""The cart link of a mail: on any device, in any region, the cart as it is now and what has changed since the mail."""

import re
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest

from mesh import Mesh
from mesh.events.cart import CartConverted, CartLine, CartUpdated
from mesh.events.offer import OfferDecided
from mesh.events.order import PurchaseMarked
from mesh.events.product import ProductListed
from mesh.money import Money
from mesh.profiles import visitor_digest
from notifications.link_app import app
from notifications.saved_cart_token import PARAMETER, SavedCartLink, seal
from services.demo.storefront.app import build
from services.demo.storefront.saved_carts import SavedCarts
from tests.approved_offer import approved_offer

CUP = CartLine(product_id="whisk", quantity=2, price=Money(amount=2400, currency="EUR"), name="Bamboo whisk")
POT = CartLine(product_id="pot", quantity=1, price=Money(amount=9000, currency="EUR"), name="Pot")
SECRET = "a secret of the tests"


@pytest.fixture
def links(regions, monkeypatch):
    """Opens the links' interface in a region."""

    @asynccontextmanager
    async def opened(region="us", secret=SECRET):
        monkeypatch.setenv("CARTMESH_SECRET", secret)
        others = tuple({"us", "eu"} - {region})
        served = httpx.ASGITransport(app(Mesh(regions.broker(region), "links", others=others)))
        async with httpx.AsyncClient(transport=served, base_url="http://links.example") as client:
            yield client

    return opened


@pytest.fixture
async def offered(shop):
    """An offer for a cart with two lines, and the token of its link."""
    await shop.mesh.publish(CartUpdated(cart_id="c1", visitor_id="ada", lines=(CUP, POT)))
    await shop.mesh.publish(approved_offer(visitor_id="ada", offer_id="o1", lines=(CUP, POT), coupon="BACK-1"))
    return seal(SavedCartLink(region="us", cart_id="c1", offer_id="o1"), SECRET)


async def test_the_link_of_a_mail_leads_to_the_cart(at_work, shop, box, links, monkeypatch):
    """From the mailbox: the link's token is taken as it is, without a key."""
    monkeypatch.setenv("CARTMESH_SECRET", SECRET)
    async with at_work(), links() as client:
        await shop.identify("ada")
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        (mail,) = await box.wait_for(1)
        text = box.opened(mail).get_body(("plain",)).get_content()
        link = next(one for one in re.findall(r"https?://\S+", text) if "/cart/c1" in one)
        (token,) = parse_qs(urlsplit(link).query)[PARAMETER]

        answer = await client.get(f"/carts/{token}", headers={"Origin": "https://shop.example"})

        (decided,) = await shop.all("c1", OfferDecided)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert (found["status"], found["coupon"], found["changes"]) == ("open", decided.coupon, [])
    assert [(line["product_id"], line["quantity"]) for line in found["lines"]] == [("p1", 2)]
    assert "ada" not in answer.text


CHANGES = {
    "another price": (
        [ProductListed(product_id="whisk", price=Money(amount=1900, currency="EUR"))],
        [("price", "whisk")],
        ["whisk", "pot"],
    ),
    "sold out": ([ProductListed(product_id="pot", available=False)], [("sold_out", "pot")], ["whisk"]),
    "taken out": (
        [CartUpdated(cart_id="c1", visitor_id="ada", lines=(CUP,))],
        [("removed", "pot")],
        ["whisk"],
    ),
    "more pieces, and another product": (
        [
            CartUpdated(
                cart_id="c1",
                visitor_id="ada",
                lines=(
                    msgspec.structs.replace(CUP, quantity=3),
                    POT,
                    msgspec.structs.replace(POT, product_id="tea", name="Tea"),
                ),
            )
        ],
        [("quantity", "whisk"), ("added", "tea")],
        ["whisk", "pot", "tea"],
    ),
    "one bought on another device": (
        [PurchaseMarked(shopper=visitor_digest("ada"), order_id="n1", bought={"pot": 1})],
        [("bought", "pot")],
        ["whisk"],
    ),
}


@pytest.mark.parametrize(("happened", "changes", "left"), CHANGES.values(), ids=CHANGES)
async def test_it_says_what_has_changed(shop, offered, links, happened, changes, left):
    """Since the offer was made: by the shopper, in the catalogue, or by a purchase."""
    for event in happened:
        await shop.mesh.publish(event)

    async with links() as client:
        found = (await client.get(f"/carts/{offered}")).json()

    assert [(one["kind"], one["product_id"]) for one in found["changes"]] == changes
    assert [line["product_id"] for line in found["lines"]] == left
    total = sum(line["price"]["amount"] * line["quantity"] for line in found["lines"])
    assert found["total"] == {"amount": total, "currency": "EUR"}


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (CartConverted(cart_id="c1", order_id="n1", visitor_id="ada"), "bought"),
        (CartUpdated(cart_id="c1", visitor_id="ada", lines=()), "emptied"),
    ],
)
async def test_nothing_is_brought_back_of_a_cart_that_is_over(shop, offered, links, event, status):
    """Neither lines nor the coupon."""
    await shop.mesh.publish(event)

    async with links() as client:
        found = (await client.get(f"/carts/{offered}")).json()

    assert (found["status"], found["lines"], found["coupon"]) == (status, [], None)


async def test_every_region_knows_the_cart(shop, offered, links):
    """As far as the log of the region that made the offer has arrived."""
    async with links("eu") as client:
        found = (await client.get(f"/carts/{offered}")).json()

    assert [line["product_id"] for line in found["lines"]] == ["whisk", "pot"]


@pytest.mark.parametrize("of", ["nobody", "another purpose", "another secret", "another cart"])
async def test_without_a_token_of_ours_nothing_is_said(shop, offered, links, of):
    """One answer, whatever was tried; of a cart that was never offered there is nothing to say."""
    tokens = {
        "nobody": offered[:-2] + ("AA" if not offered.endswith("AA") else "BB"),
        "another purpose": "YWJjZGVm",
        "another secret": seal(SavedCartLink(region="us", cart_id="c1", offer_id="o1"), "another secret"),
        "another cart": seal(SavedCartLink(region="us", cart_id="c2", offer_id="o1"), SECRET),
    }

    async with links() as client:
        answer = await client.get(f"/carts/{tokens[of]}")

    assert answer.status_code == 404
    assert answer.json()["detail"]


async def test_links_of_before_a_new_secret_still_work(offered, links, monkeypatch):
    """Mails are read long after they were sent."""
    monkeypatch.setenv("CARTMESH_SECRET_BEFORE", SECRET)
    async with links(secret="a newer secret of the tests") as client:
        assert (await client.get(f"/carts/{offered}")).status_code == 200


async def test_the_demo_shop_shows_the_cart_and_what_has_changed(shop, offered, links):
    """By asking the interface, as any shop can: in the words of the page's language."""
    await shop.mesh.publish(ProductListed(product_id="whisk", price=Money(amount=1900, currency="EUR")))
    async with links() as client:
        served = httpx.ASGITransport(build(shop.mesh, carts=SavedCarts(client)))
        async with httpx.AsyncClient(transport=served, base_url="http://shop.example") as pages:
            page = (await pages.get(f"/cart/c1?saved={offered}", headers={"accept-language": "de"})).text
            wrong = (await pages.get("/cart/c1?saved=nothing", headers={"accept-language": "de"})).text

    assert "kostet jetzt 19,00\xa0€ statt 24,00\xa0€." in page
    assert "BACK-1" in page
    assert "kostet jetzt" not in wrong
