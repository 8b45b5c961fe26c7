"""Webhooks as partners get them: real HTTP to a real server, verified by the library that partners use."""

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from mesh import Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartLine
from mesh.events.customer import CustomerIdentified
from mesh.events.offer import OfferClicked
from mesh.events.order import OrderConfirmed
from mesh.events.product import ProductListed

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


async def test_a_partner_gets_only_what_it_subscribed_to(place):
    """By type, and by filters over the attributes; nothing that is not on the list ever leaves."""
    await place.webhook("/typed", types=("order.confirmed.v1",))
    await place.webhook(
        "/filtered", filters=({"any": [{"exact": {"subject": "o2"}}, {"prefix": {"type": "product."}}]},)
    )
    await place.webhook("/all")

    for event in (
        order("o1"),
        OfferClicked(cart_id="c", offer_id="f", visitor_id="v"),
        ProductListed(product_id="sku-1", name="Tea", price=Money(amount=1299, currency="EUR")),
        CustomerIdentified(visitor_id="v", email="ada@example.com"),
        order("o2"),
    ):
        await place.mesh.publish(event)
    await place.arrived(3, "/all")
    await place.arrived(1, "/typed")

    def got(path):
        return sorted((one.event["type"], one.event["subject"]) for one in place.endpoint.of(path))

    await place.eventually(lambda: len(place.endpoint.requests) == 7)
    await place.noted(*["delivered"] * 7)
    assert got("/typed") == [("order.confirmed.v1", "o1"), ("order.confirmed.v1", "o2")]
    assert got("/filtered") == [("order.confirmed.v1", "o2"), ("product.listed.v1", "sku-1")]
    assert got("/all") == [("order.confirmed.v1", "o1"), ("order.confirmed.v1", "o2"), ("product.listed.v1", "sku-1")]


async def test_each_region_delivers_what_happened_in_it(open_place):
    """A webhook made in one is in force in both; an event that the other copies is sent once, by its own."""
    us = await open_place(MemoryMesh("us", "eu"))
    eu = await open_place(us.regions, "eu")
    webhook, secret = await us.webhook()
    await us.eventually(lambda: eu.managing.webhooks.active(webhook.id))

    await us.mesh.publish(order("o1"))
    await eu.mesh.publish(order("o2"))
    await us.arrived(2)
    await us.noted("delivered")
    await eu.noted("delivered")

    assert eu.managing.secret(eu.managing.find(webhook.id)) == secret
    sources = sorted((one.event["source"], one.event["subject"]) for one in us.endpoint.requests)
    assert sources == [("/eu/orders", "o2"), ("/us/orders", "o1")]


async def test_binary_mode_has_the_data_as_body_and_the_rest_in_headers(place):
    """Both modes say the same; the body is signed as it is sent."""
    _, secret = await place.webhook("/binary", mode="binary")
    await place.webhook("/structured")

    await place.mesh.publish(order("o1"))
    (binary,), (structured,) = await place.arrived(1, "/binary"), await place.arrived(1, "/structured")

    whole = structured.event
    assert Webhook(secret).verify(binary.body, binary.headers) == whole["data"]
    assert binary.headers["content-type"] == "application/json"
    named = {name.removeprefix("ce-"): value for name, value in binary.headers.items() if name.startswith("ce-")}
    assert named == {name: value for name, value in whole.items() if name not in ("data", "datacontenttype")}
