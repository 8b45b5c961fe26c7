"""Refunds and cancellations of a Shopify shop: each counts once, in any order, also before its order."""

from itertools import permutations

import pytest

from mesh import Mesh
from mesh.events.order import (
    OrderCancellationReported,
    OrderCancelled,
    OrderConfirmed,
    OrderRefunded,
    OrderRefundReported,
)
from mesh.money import Money
from mesh.runtime.run import running
from services import orders
from tests.shopify_webhooks import ago, order

ORDER = "820982911946154508"


def refund(number, amount, **more):
    paid = {"id": 900 + number, "kind": "refund", "status": "success", "amount": amount, "currency": "EUR"}
    return {
        "id": 500 + number,
        "order_id": int(ORDER),
        "created_at": ago(5),
        "refund_line_items": [],
        "transactions": [paid | more],
    }


FIRST, SECOND = refund(1, "5.00"), refund(2, "7.50")
ENDED = {"cancelled_at": ago(4), "cancel_reason": "customer", "financial_status": "refunded"}


@pytest.fixture
async def shop(shopify, regions):
    """The shop with the service that follows its orders."""
    broker = regions.broker("us")
    async with running(orders.service, Mesh(broker, "orders", others=("eu",))):
        yield shopify
    await broker.drain()


@pytest.mark.parametrize("ways", list(permutations(range(3))))
async def test_refunds_are_summed_once_whichever_way_they_are_told(shop, ways, eventually):
    """By refunds/create, twice, and by orders/updated, which has all of them; the largest sum is the newest."""
    calls = [
        ("refunds/create", FIRST),
        ("refunds/create", SECOND),
        ("orders/updated", order(financial_status="partially_refunded", refunds=[FIRST, SECOND])),
    ]

    answers = [await shop(*calls[way]) for way in (*ways, *ways)]
    await eventually(lambda: _is_refunded(shop, 1250))

    assert [one.json()["rejected"] for one in answers] == [[]] * 6
    assert sorted(one.refund_id for one in await shop.shop.events(OrderRefundReported)) == ["901", "902"]
    assert [one.order_id for one in await shop.shop.events(OrderConfirmed)] == [ORDER]


async def _is_refunded(shop, amount):
    return [one.refunded.amount for one in await shop.shop.events(OrderRefunded)][-1:] == [amount]


@pytest.mark.parametrize(
    "topics",
    [
        ("orders/create", "orders/paid", "orders/cancelled", "orders/updated"),
        ("orders/cancelled", "orders/updated", "orders/create", "orders/cancelled"),
    ],
)
async def test_an_order_is_cancelled_once(shop, topics, eventually):
    """By orders/cancelled or by orders/updated, before the order or after it, with what was paid back."""
    whole = refund(3, "25.98")
    bodies = {"orders/create": order(), "orders/paid": order()}
    for at, topic in enumerate(topics):
        body = bodies.get(topic, order(updated_at=ago(3 - at / 2), refunds=[whole], **ENDED))
        assert (await shop(topic, body)).json()["rejected"] == []
    await eventually(lambda: _is_refunded(shop, 2598))

    (cancelled,) = await eventually(lambda: shop.shop.events(OrderCancelled))
    assert (cancelled.order_id, cancelled.by, cancelled.left) == (ORDER, "customer", ())
    assert (cancelled.amount, cancelled.total) == (Money(amount=2598, currency="EUR"), Money(amount=0, currency="EUR"))
    assert [(one.product_id, one.quantity) for one in cancelled.lines] == [("39072856", 2)]
    assert len(await shop.shop.events(OrderCancellationReported)) == 1


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        ("refunds/create", refund(1, "5.00", status="pending")),
        ("refunds/create", refund(1, "5.00", kind="void")),
        ("refunds/create", FIRST | {"transactions": []}),
        ("orders/cancelled", order(test=True, **ENDED)),
    ],
)
async def test_what_is_not_paid_back_yet_counts_nothing(shopify, topic, body):
    """A refund that is pending, a payment that was voided, a refund of no money, and a test order."""
    answer = await shopify(topic, body)

    assert answer.status_code == 200
    assert [len(answer.json()[name]) for name in ("rejected", "not_understood")] == [0, 1]
    assert await shopify.shop.events(OrderRefundReported, OrderCancellationReported) == []


async def test_a_refund_of_another_currency_is_refused(shopify):
    """Sums of two currencies say nothing."""
    await shopify("refunds/create", FIRST)

    answer = await shopify("refunds/create", refund(2, "7.50", currency="USD"))

    (rejected,) = answer.json()["rejected"]
    assert "one currency" in rejected["reason"]
    assert [one.amount.amount for one in await shopify.shop.events(OrderRefundReported)] == [500]
