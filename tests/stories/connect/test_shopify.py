"""Webhooks of a Shopify shop: signed ones count, once, in any order, and for no more than their body says."""

import json

from mesh.events.cart import CartConverted, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.interaction import CheckoutStarted
from mesh.events.order import OrderConfirmed, OrderPlaced, OrderReportRefused
from mesh.events.product import ProductListed
from mesh.money import Money
from tests.shopify_webhooks import LINE, SECRET, ago, order


def cart(seconds_ago, quantity, **more):
    token = "c1-68778783ad298f1c80c3bafcddeea"
    return {
        "id": token,
        "token": f"{token}?key=0123",
        "updated_at": ago(seconds_ago),
        "line_items": [LINE | {"quantity": quantity}],
        **more,
    }


PRODUCT = {
    "id": 632910392,
    "title": "Tea",
    "vendor": "Leaf",
    "product_type": "tea",
    "status": "active",
    "updated_at": "2026-05-01T12:00:00+02:00",
    "image": {"src": "https://cdn.shopify.com/tea.png"},
    "variants": [
        {"id": 1, "title": "Tin", "price": "12.99", "inventory_management": "shopify", "inventory_quantity": 0},
        {"id": 2, "title": "Bag", "price": "4.50", "inventory_management": None},
    ],
}


async def test_an_order_is_placed_then_confirmed_and_names_its_buyer(shopify):
    """With its lines, total, coupon, cart and address; the signature makes it the shop's own word."""
    made = [await shopify("orders/create", order()), await shopify("orders/paid", order())]

    assert [one.status_code for one in made] == [200, 200]
    assert [one.json()["rejected"] for one in made] == [[], []]
    (confirmed,) = await shopify.shop.events(OrderConfirmed)
    assert (confirmed.order_id, confirmed.total) == ("820982911946154508", Money(amount=2598, currency="EUR"))
    assert (confirmed.coupon, confirmed.customer_id) == ("SPRING", "115310627314723954")
    assert [(one.product_id, one.quantity, one.name) for one in confirmed.lines] == [("39072856", 2, "Tea tin")]
    assert {one.by for one in await shopify.shop.events(OrderPlaced)} == {"server"}
    assert {one.cart_id for one in await shopify.shop.events(CartConverted)} == {confirmed.cart_id}
    assert {(one.email, one.name) for one in await shopify.shop.events(CustomerIdentified)} == {
        ("jon@example.com", "Jon Doe")
    }


async def test_the_same_webhook_again_counts_once_also_under_another_id(shopify):
    """Its id stands in a header that nobody signed: what is known again are its bytes."""
    body = json.dumps(order()).encode()

    answers = [await shopify("orders/create", body, webhook=one) for one in ("w-1", "w-1", "w-2")]

    assert [one.json()["duplicates"] for one in answers] == [0, 2, 2]
    assert len(await shopify.shop.all(OrderPlaced)) == 1


async def test_an_order_that_is_paid_before_it_is_created_is_confirmed_once(shopify):
    """Webhooks come in any order, and several say that an order is paid."""
    topics = ("orders/updated", "orders/paid", "orders/create", "orders/updated")
    answers = [await shopify(one, order(updated_at=ago(9 - at))) for at, one in enumerate(topics)]

    assert [one.json()["rejected"] for one in answers] == [[], [], [], []]
    assert len(await shopify.shop.all(OrderConfirmed)) == 1
    assert await shopify.shop.all(OrderReportRefused) == []


async def test_carts_out_of_order_leave_the_newest(shopify):
    """The older webhook that comes later is stored, and changes nothing."""
    await shopify("carts/update", cart(5, 3))
    await shopify("carts/create", cart(90, 1))

    newest = max(await shopify.shop.all(CartUpdated), key=lambda one: one.time)
    assert [line.quantity for line in newest.event.lines] == [3]
    assert newest.event.cart_id == "c1-68778783ad298f1c80c3bafcddeea"


async def test_a_checkout_has_cart_address_and_consent(shopify):
    """Who ticked that they may be written to has said so; who did not has refused nothing."""
    checkout = order(buyer_accepts_marketing=True, completed_at=None)
    await shopify("checkouts/update", checkout)
    await shopify("checkouts/update", checkout | {"buyer_accepts_marketing": False})

    assert {(one.channel, one.granted) for one in await shopify.shop.events(ConsentChanged)} == {("email", True)}
    (one, *_) = await shopify.shop.events(CheckoutStarted)
    assert {cart.visitor_id for cart in await shopify.shop.events(CartUpdated)} == {one.visitor_id}


async def test_variants_are_products_of_one_group(shopify):
    """With the shop's currency, and available where they can be bought."""
    answer = await shopify("products/update", PRODUCT | {"updated_at": ago(1)})

    assert answer.json()["rejected"] == []
    assert {
        (one.product_id, one.name, one.price.amount, one.available, one.group)
        for one in await shopify.shop.events(ProductListed)
    } == {
        ("1", "Tea Tin", 1299, False, "632910392"),
        ("2", "Tea Bag", 450, True, "632910392"),
    }


async def test_the_storefronts_visitor_is_taken_from_the_carts_attribute(shopify):
    """A theme that notes its visitor's id in the cart ties the order to what the visitor did before."""
    noted = [{"name": "cartmesh_visitor_id", "value": "v-77"}]
    await shopify("orders/create", order(note_attributes=noted))

    assert [one.visitor_id for one in await shopify.shop.events(OrderPlaced)] == ["v-77"]


async def test_a_visitor_without_a_note_cannot_be_guessed(shopify):
    """An id that can be guessed would let anybody look at a shopper's offers."""
    await shopify("orders/create", order())

    (placed,) = await shopify.shop.events(OrderPlaced)
    assert placed.visitor_id.startswith("shopify-")
    assert "68778783" not in placed.visitor_id


async def test_what_nobody_signed_is_refused(shopify):
    """401, and nothing is stored."""
    answers = [await shopify("orders/create", order(), signature=one) for one in ("", b"x", b"A" * 44, "ü".encode())]

    assert [one.status_code for one in answers] == [401] * 4
    assert await shopify.shop.all(OrderPlaced) == []


async def test_an_order_that_says_it_is_unpaid_is_not_confirmed_whatever_its_topic(shopify):
    """The topic stands in a header that nobody signed."""
    answer = await shopify("orders/paid", order(financial_status="pending"))

    assert (answer.status_code, await shopify.shop.all(OrderConfirmed)) == (200, [])
    assert "not paid" in answer.json()["not_understood"][0]["reason"]


async def test_an_unknown_topic_is_answered_200_and_named(shopify):
    """Shopify ends a subscription whose webhooks fail; what was not understood is said."""
    answer = await shopify("themes/publish", {"id": 1})

    assert (answer.status_code, answer.json()["not_understood"][0]["name"]) == (200, "themes/publish")


async def test_a_bad_order_is_refused_and_still_stops_its_shoppers_offers(shopify):
    """The answer is 200, or Shopify would send it for two days; the reason names the field."""
    wrong = [
        ({"total_price": "a lot"}, "$.total_price"),
        ({"total_price": "12.999"}, "$.total_price"),
        ({"line_items": [LINE | {"price": None}]}, "$.line_items[0].price"),
        ({"line_items": [LINE | {"variant_id": None, "product_id": ""}]}, "$.line_items[0].product_id"),
        ({"line_items": "none"}, "$.line_items"),
        ({"line_items": []}, "$.lines"),
        ({"currency": "\u0000\U0001f600"}, "$.lines[0].price.currency"),
        ({"created_at": "yesterday"}, "$.created_at"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "$.created_at"),
    ]
    answers = [await shopify("orders/create", order(id=at + 1, **change)) for at, (change, _) in enumerate(wrong)]

    assert [one.status_code for one in answers] == [200] * len(wrong)
    assert [[one["path"] for one in answer.json()["rejected"]] for answer in answers] == [[path] for _, path in wrong]
    assert await shopify.shop.all(OrderPlaced) == []
    refused = await shopify.shop.events(OrderReportRefused)
    assert [one.visitor_id.startswith("shopify-") for one in refused] == [True] * len(wrong)


async def test_what_is_no_object_is_400(shopify):
    """Signed or not, it is no webhook."""
    for body in (b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 100_000):
        assert (await shopify("orders/create", body)).status_code == 400


async def test_five_megabytes_are_413(mesh, gateway_client, monkeypatch):
    """As for every request."""
    monkeypatch.setenv("CARTMESH_SHOPIFY_SECRETS", f"tea={SECRET}")
    async with gateway_client(mesh) as client:
        assert (await client.post("/v1/shopify", content=b"x" * 5_000_000)).status_code == 413
