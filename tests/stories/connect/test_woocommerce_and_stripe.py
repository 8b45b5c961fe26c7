"""Webhooks of WooCommerce and Stripe: signed ones count, once, and for no more than their body says."""

import base64
import hmac
import json
import time
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from mesh import Mesh
from mesh.events.cart import CartConverted
from mesh.events.customer import CustomerIdentified
from mesh.events.order import OrderConfirmed, OrderPlaced, OrderReportRefused
from mesh.events.product import ProductListed
from mesh.money import Money

WOO, STRIPE = "woo_0123456789abcdef", "whsec_0123456789abcdef"
NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
ITEM = {"product_id": 93, "variation_id": 0, "name": "Tea tin", "quantity": 3, "total": "10.00", "price": 3.3333333333}
ORDER = {
    "id": 727,
    "status": "pending",
    "currency": "EUR",
    "date_created_gmt": NOW,
    "date_modified_gmt": NOW,
    "date_paid_gmt": None,
    "total": "12.50",
    "customer_id": 26,
    "billing": {"email": "jon@example.com", "first_name": "Jon", "last_name": "Doe"},
    "line_items": [ITEM],
    "coupon_lines": [{"code": "spring"}],
    "meta_data": [{"key": "cartmesh_visitor_id", "value": "v-7"}, {"key": "cartmesh_cart_id", "value": "c-7"}],
}
PRODUCT = {
    "id": 93,
    "type": "simple",
    "status": "publish",
    "name": "Tea tin",
    "price": "3.990000",
    "stock_status": "instock",
    "date_modified_gmt": NOW,
    "permalink": "https://shop.example/tea",
    "categories": [{"name": "tea"}],
    "images": [{"src": "https://shop.example/tea.png"}],
}


class Hooks:
    """The gateway as WooCommerce and Stripe see it."""

    def __init__(self, client, mesh):
        self.client, self.mesh = client, mesh

    async def woo(self, topic, body, *, secret=WOO, **headers):
        raw = json.dumps(body).encode()
        signed = base64.b64encode(hmac.new(secret.encode(), raw, sha256).digest()).decode()
        headers = {"X-WC-Webhook-Topic": topic, "X-WC-Webhook-Signature": signed, **headers}
        return await self.client.post("/v1/woocommerce", content=raw, headers=headers)

    async def stripe(self, body, *, secret=STRIPE, ago=0):
        raw, at = json.dumps(body).encode(), int(time.time()) - ago
        signed = hmac.new(secret.encode(), f"{at}.".encode() + raw, sha256).hexdigest()
        return await self.client.post("/v1/stripe", content=raw, headers={"Stripe-Signature": f"t={at},v1={signed}"})

    async def events(self, kind):
        return [received.event async for received in self.mesh.read(kind)]


@pytest.fixture
async def hooks(memory_broker, gateway_client, monkeypatch):
    monkeypatch.setenv("CARTMESH_WOOCOMMERCE_SECRETS", f"tea={WOO}")
    monkeypatch.setenv("CARTMESH_WOOCOMMERCE_CURRENCY", "EUR")
    monkeypatch.setenv("CARTMESH_STRIPE_SECRETS", f"main={STRIPE}")
    mesh = Mesh(memory_broker, "gateway", others=("eu",))
    async with gateway_client(mesh) as client:
        yield Hooks(client, mesh)


async def test_an_order_is_placed_and_confirmed_once_its_body_says_that_it_is_paid(hooks):
    """The price of a piece is its share of the line's total; visitor and cart are those that the shop noted."""
    made = [
        await hooks.woo("order.created", ORDER),
        await hooks.woo("order.updated", ORDER | {"status": "processing", "date_paid_gmt": NOW}),
        await hooks.woo("order.updated", ORDER | {"status": "completed", "date_paid_gmt": NOW}),
    ]

    assert [one.json()["rejected"] for one in made] == [[], [], []]
    assert [one.visitor_id for one in await hooks.events(OrderPlaced)] == ["v-7"]
    (confirmed,) = await hooks.events(OrderConfirmed)
    assert (confirmed.total, confirmed.cart_id, confirmed.coupon) == (
        Money(amount=1250, currency="EUR"),
        "c-7",
        "spring",
    )
    assert [(one.quantity, one.price) for one in confirmed.lines] == [(3, Money(amount=333, currency="EUR"))]
    assert {one.cart_id for one in await hooks.events(CartConverted)} == {"c-7"}
    assert {one.name for one in await hooks.events(CustomerIdentified)} == {"Jon Doe"}


@pytest.mark.parametrize("status", ["checkout-draft", "failed", "cancelled", "refunded", "trash"])
async def test_an_order_that_is_none_counts_nothing(hooks, status):
    """The answer says so."""
    answer = await hooks.woo("order.updated", ORDER | {"status": status})

    assert (answer.status_code, status in answer.json()["not_understood"][0]["reason"]) == (200, True)
    assert await hooks.events(OrderPlaced) == []


async def test_a_product_is_listed_at_its_price(hooks):
    """With what its currency has of places."""
    await hooks.woo("product.updated", PRODUCT)

    (listed,) = await hooks.events(ProductListed)
    assert (listed.price, listed.available) == (Money(amount=399, currency="EUR"), True)


async def test_woocommerces_greeting_is_answered_and_nothing_else_without_a_signature(hooks):
    """It asks whether somebody is there before it sends anything, and signs nothing then."""
    greeting = await hooks.client.post("/v1/woocommerce", content=b"webhook_id=12")
    unsigned = await hooks.client.post("/v1/woocommerce", json=ORDER)
    wrong = await hooks.woo("order.created", ORDER, secret="another secret of somebody")

    assert [one.status_code for one in (greeting, unsigned, wrong)] == [200, 401, 401]
    assert await hooks.events(OrderPlaced) == []


def session(**more):
    return {
        "id": "evt_1",
        "type": "checkout.session.completed",
        "created": int(time.time()),
        "data": {
            "object": {
                "id": "cs_test_1",
                "payment_status": "paid",
                "amount_total": 2598,
                "currency": "eur",
                "client_reference_id": "v-7",
                "customer_details": {"email": "jon@example.com", "name": "Jon"},
                "metadata": {"order_id": "o-7", "cart_id": "c-7", "cartmesh_lines": '[["sku-1", 2, 1299]]'},
                **more,
            }
        },
    }


async def test_a_paid_checkout_of_stripe_is_an_order(hooks):
    """Twice sent, once stored; amounts are minor units already."""
    event = session()
    answers = [await hooks.stripe(event), await hooks.stripe(event)]

    assert [(one.status_code, one.json()["rejected"]) for one in answers] == [(200, []), (200, [])]
    (order,) = await hooks.events(OrderConfirmed)
    assert (order.order_id, order.total, order.cart_id, order.visitor_id) == (
        "o-7",
        Money(amount=2598, currency="EUR"),
        "c-7",
        "v-7",
    )


async def test_a_checkout_without_lines_is_refused_and_stops_the_shoppers_offers(hooks):
    """Stripe sends none; the reason says where to put them. Who bought is certain all the same."""
    answer = await hooks.stripe(session(metadata={"order_id": "o-7", "cart_id": "c-7"}))

    assert "cartmesh_lines" in answer.json()["rejected"][0]["path"]
    assert [(one.visitor_id, one.cart_id) for one in await hooks.events(OrderReportRefused)] == [("v-7", "c-7")]


async def test_an_unpaid_checkout_counts_nothing_yet(hooks):
    """As a bank transfer that is under way."""
    answer = await hooks.stripe(session(payment_status="unpaid"))

    assert "not paid yet" in answer.json()["not_understood"][0]["reason"]
    assert await hooks.events(OrderConfirmed) == []


@pytest.mark.parametrize(("ago", "secret"), [(0, "whsec_somebody_elses"), (3600, STRIPE), (-3600, STRIPE)])
async def test_a_signature_that_is_wrong_or_old_is_401(hooks, ago, secret):
    """So a webhook that was recorded cannot be sent again later."""
    assert (await hooks.stripe(session(), ago=ago, secret=secret)).status_code == 401


@pytest.mark.parametrize("event", [{}, {"type": "charge.refunded"}, {"type": None, "data": []}, {"id": 5}])
async def test_what_stripe_says_besides_is_named_and_answered_200(hooks, event):
    """Or Stripe would send it for three days."""
    answer = await hooks.stripe(event)

    assert (answer.status_code, len(answer.json()["not_understood"])) == (200, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"created": "now"},
        {"created": True},
        {"created": 10**30},
        {"data": None},
        {"data": {"object": []}},
        {"id": ""},
    ],
)
async def test_a_bad_event_of_stripe_is_refused_in_place(hooks, change):
    """Nothing is stored, and nothing breaks."""
    answer = await hooks.stripe(session() | change)

    assert (answer.status_code, len(answer.json()["rejected"])) == (200, 1)
    assert await hooks.events(OrderConfirmed) == []
