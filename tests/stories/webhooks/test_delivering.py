"""Webhooks as partners get them: real HTTP to a real server, verified by the library that partners use."""

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from mesh import Money
from mesh.events.cart import CartLine
from mesh.events.order import OrderConfirmed

EURO = Money(amount=2598, currency="EUR")
LINE = CartLine(product_id="sku-1", quantity=2, price=Money(amount=1299, currency="EUR"))


def order(id_="o1", **fields):
    return OrderConfirmed(
        order_id=id_, lines=(LINE,), total=EURO, visitor_id="secret-visitor", session_id="s-1", **fields
    )


async def test_a_partner_gets_what_happened_signed_and_without_what_is_withheld(place):
    """The CloudEvent in structured mode; standardwebhooks verifies it, and refuses it with another secret."""
    _, secret = await place.webhook(types=("order.confirmed.v1",))

    (stored,) = await place.mesh.publish(order(customer_id="c-9"))
    (request,) = await place.arrived(1)

    event = request.event
    assert Webhook(secret).verify(request.body, request.headers) == event
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 43 + "=").verify(request.body, request.headers)
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    assert (event["specversion"], event["type"], event["source"]) == ("1.0", "order.confirmed.v1", "/us/orders")
    assert (event["id"], event["subject"]) == (request.headers["webhook-id"], "o1")
    assert event["data"]["total"] == {"amount": 2598, "currency": "EUR"}
    assert event["data"]["customer_id"] == "c-9"
    assert {"visitor_id", "session_id"}.isdisjoint(event["data"])
    assert b"secret-visitor" not in request.body
    (attempted,) = await place.noted("delivered")
    assert (attempted.status, attempted.answer, attempted.attempt) == (200, "taken", 1)
    assert attempted.sequence == stored.sequence
    await place.eventually(lambda: _none_pending(place))


async def _none_pending(place):
    return not await place.pending()
