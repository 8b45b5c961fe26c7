"""Refunds and cancellations of a Shopify shop: each counts once, in any order, also before its order."""

from itertools import permutations

import pytest

from mesh.events.order import OrderCancelled, OrderConfirmed, OrderRefunded
from mesh.money import Money
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


async def refunded(shopify):
    return [one.refunded.amount for one in await shopify.shop.events(OrderRefunded)]


@pytest.mark.parametrize("ways", list(permutations(range(3))))
async def test_refunds_are_summed_once_whichever_way_they_are_told(shopify, ways):
    """By refunds/create, twice, and by orders/updated, which has all of them; the largest sum is the newest."""
    calls = [
        ("refunds/create", FIRST),
        ("refunds/create", SECOND),
        ("orders/updated", order(financial_status="partially_refunded", refunds=[FIRST, SECOND])),
    ]

    answers = [await shopify(*calls[way]) for way in (*ways, *ways)]

    assert [one.json()["rejected"] for one in answers] == [[]] * 6
    found = await refunded(shopify)
    assert (len(found), found[-1]) == (2, 1250)
    assert [one.order_id for one in await shopify.shop.events(OrderConfirmed)] == [ORDER]


@pytest.mark.parametrize(
    "topics",
    [
        ("orders/create", "orders/paid", "orders/cancelled", "orders/updated"),
        ("orders/cancelled", "orders/updated", "orders/create", "orders/cancelled"),
    ],
)
async def test_an_order_is_cancelled_once(shopify, topics):
    """By orders/cancelled or by orders/updated, before the order or after it, with what was paid back."""
    whole = refund(3, "25.98")
    bodies = {"orders/create": order(), "orders/paid": order()}
    for at, topic in enumerate(topics):
        body = bodies.get(topic, order(updated_at=ago(3 - at / 2), refunds=[whole], **ENDED))
        assert (await shopify(topic, body)).json()["rejected"] == []

    (cancelled,) = await shopify.shop.events(OrderCancelled)
    assert (cancelled.order_id, cancelled.by, cancelled.left) == (ORDER, "customer", ())
    assert (cancelled.amount, cancelled.total) == (Money(amount=2598, currency="EUR"), Money(amount=0, currency="EUR"))
    assert [(one.product_id, one.quantity) for one in cancelled.lines] == [("39072856", 2)]
    assert await refunded(shopify) == [2598]


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
    assert await shopify.shop.events(OrderRefunded, OrderCancelled) == []


async def test_a_refund_of_another_currency_is_refused(shopify):
    """Sums of two currencies say nothing."""
    await shopify("refunds/create", FIRST)

    answer = await shopify("refunds/create", refund(2, "7.50", currency="USD"))

    (rejected,) = answer.json()["rejected"]
    assert "one currency" in rejected["reason"]
    assert await refunded(shopify) == [500]
