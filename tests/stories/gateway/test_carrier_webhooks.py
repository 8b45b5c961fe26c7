"""Carriers report parcels by signed requests: what they sign counts once, in any order, and nothing else does."""

import asyncio
import hmac
import json
import time
from datetime import UTC, datetime
from hashlib import sha256
from itertools import permutations

import msgspec
import pytest

from mesh import Mesh
from mesh.errors import DeclarationError
from mesh.events.cart import CartLine
from mesh.events.order import Command, OrderCreated, OrderedPieces, OrderReturned
from mesh.events.shipment import (
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentRequested,
    ShipmentReturned,
)
from mesh.money import Money
from mesh.runtime.run import running
from services import orders, shipping
from services.gateway.keys import Keys, KeySettings
from services.orders.fold import KINDS, fold
from tests.stories.gateway.conftest import KEY, confirmed, stored

SECRET, OTHER = "whsec_0123456789abcdef", "whsec_fedcba9876543210"
PRICE = Money(amount=1299, currency="EUR")
REPORTS = (ShipmentCreated, ShipmentDispatched, ShipmentDelivered, ShipmentReturned)


def report(type_, id_="w1", *, order_id="o1", tracking="JD1", **fields):
    time_ = datetime.now(UTC).isoformat()
    return {"id": id_, "type": type_, "time": time_, "order_id": order_id, "tracking": tracking, **fields}


def signed(body, *, secret=SECRET, at=None):
    """Written as Stripe documents its scheme, not by the code under test."""
    at = int(time.time()) if at is None else at
    return f"t={at},v1={hmac.new(secret.encode(), str(at).encode() + b'.' + body, sha256).hexdigest()}"


@pytest.fixture
async def carrier(settings, open_gateway, gateway):
    """Send bytes with a signature; the carrier `dhl` is known by two secrets, and order `o1` was handed to shipping."""
    settings(webhook_secrets=f"dhl={SECRET},dhl={OTHER}", server_keys="secret")
    client = await open_gateway()
    await gateway.publish(ShipmentRequested(order_id="o1", lines=()))

    async def send(*events, signature=None, secret=SECRET, body=None):
        body = json.dumps({"events": events}).encode() if body is None else body
        given = signed(body, secret=secret) if signature is None else signature
        return await client.post("/v1/events", content=body, headers={"Cartmesh-Signature": given})

    send.client = client
    return send


async def test_what_a_carrier_signs_is_stored(carrier, gateway):
    """With either of its secrets while they are changed, and with the page that follows the parcel."""
    first = await carrier(report("shipment_created", carrier="DHL"))
    second = await carrier(
        report("shipment_dispatched", "w2", carrier="DHL", tracking_url="https://dhl.example/JD1"), secret=OTHER
    )

    assert [(one.status_code, one.json()["accepted"]) for one in (first, second)] == [(202, 1), (202, 1)]
    assert [one.event for one in await stored(gateway, *REPORTS)] == [
        ShipmentCreated(order_id="o1", carrier="DHL", tracking="JD1"),
        ShipmentDispatched(order_id="o1", carrier="DHL", tracking="JD1", tracking_url="https://dhl.example/JD1"),
    ]


async def test_anything_else_is_refused_and_stores_nothing(carrier, gateway):
    """Another's secret, none, one that was recorded long ago, one of other bytes; also beside the key of a page."""
    body, now = json.dumps({"events": [report("shipment_delivered")]}).encode(), int(time.time())
    tries = [
        (body, signed(body, secret="whsec_of_somebody_else"), "does not match"),
        (body, "", "missing"),
        (body, "v1=00", "no time"),
        (body, signed(body, at=now - 400), "s old"),
        (body, signed(body, at=now + 400), "s old"),
        (body.replace(b"JD1", b"JD2"), signed(body), "does not match"),
    ]

    for sent, signature, why in tries:
        for key in ({}, KEY):
            answer = await carrier.client.post(
                "/v1/events", content=sent, headers=key | {"Cartmesh-Signature": signature}
            )

            assert (answer.status_code, why in answer.json()["detail"]) == (401, True)
    assert await stored(gateway, *REPORTS) == []


async def test_a_signature_is_good_for_reports_of_parcels_alone(carrier, gateway):
    """A carrier confirms no order, and names no order that was not handed to shipping in this region."""
    order = await carrier(confirmed())
    unknown = await carrier(report("shipment_returned", order_id="o2"))

    assert [one.status_code for one in (order, unknown)] == [422, 422]
    assert [one.json()["rejected"][0]["path"] for one in (order, unknown)] == ["$.type", "$.order_id"]
    assert await stored(gateway, *REPORTS) == []


async def test_a_report_counts_once(carrier, gateway):
    """The same bytes again, the same parcel under another id, and from the shop's server: one event is stored."""
    body = json.dumps({"events": [report("shipment_delivered")]}).encode()
    signature = signed(body)
    first = await carrier(body=body, signature=signature)

    again = await asyncio.gather(
        *(carrier(body=body, signature=signature) for _ in range(3)),
        *(carrier(report("shipment_delivered", f"other-{at}")) for at in range(3)),
        carrier.client.post(
            "/v1/events",
            json={"events": [report("shipment_delivered", "own", tracking=None)]},
            headers={"Authorization": "Bearer secret"},
        ),
    )

    assert first.json() == {"accepted": 1, "duplicates": 0, "rejected": []}
    assert [one.json() for one in again] == [{"accepted": 1, "duplicates": 1, "rejected": []}] * 7
    assert len(await stored(gateway, ShipmentDelivered)) == 1


async def test_each_parcel_of_an_order_is_reported(carrier, gateway):
    """They have different tracking numbers."""
    await carrier(*(report("shipment_dispatched", f"w{at}", tracking=f"JD{at % 2}") for at in range(4)))

    assert [one.event.tracking for one in await stored(gateway, ShipmentDispatched)] == ["JD0", "JD1"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "dhl.example/JD1", "https://", 'https://a/"><b', "http://[1"])
def test_a_link_is_the_address_of_a_page(url):
    """It stands in a mail to the buyer."""
    with pytest.raises(shipping.InvalidField, match="address of a page"):
        shipping.check(ShipmentDispatched(order_id="o1", tracking_url=url))


@pytest.mark.parametrize("secret", ["dhl=short", f"={SECRET}", SECRET, f"DHL={SECRET}"])
def test_a_secret_that_can_be_guessed_is_an_error_at_start(secret):
    """And so is one without a name."""
    with pytest.raises(DeclarationError, match="write <name>=<secret>"):
        Keys(KeySettings(webhook_secrets=(secret,)))


def test_two_parties_have_secrets_of_their_own():
    """With one secret nobody could tell which of them had sent something."""
    with pytest.raises(DeclarationError, match="ups and dhl have the same secret"):
        Keys(KeySettings(webhook_secrets=(f"dhl={SECRET}", f"ups={SECRET}")))


def created(order_id):
    lines = tuple(CartLine(product_id=name, quantity=2, price=PRICE) for name in ("tea", "cup"))
    return OrderCreated(
        order_id=order_id,
        lines=lines,
        total=PRICE * 4,
        payment_method="tok",
        command=Command(key=order_id, body="b"),
    )


@pytest.fixture
async def taken(regions, gateway):
    """Publish an order that was handed to shipping, while the service of orders runs."""

    async def publish(order_id):
        await gateway.publish(created(order_id))
        pieces = tuple(OrderedPieces(product_id=name, quantity=2) for name in ("tea", "cup"))
        await gateway.publish(ShipmentRequested(order_id=order_id, lines=pieces))

    broker = regions.broker("us")
    async with running(orders.service, Mesh(broker, "orders", others=("eu",)), http=("127.0.0.1", 0)):
        yield publish
    await broker.drain()


async def test_a_parcel_that_came_back_is_returned_whatever_else_arrives_first(carrier, gateway, taken, eventually):
    """All orders of four reports, each sent twice, come to the same order: delivered, and all of it returned once."""
    names = ("shipment_created", "shipment_dispatched", "shipment_delivered", "shipment_returned")
    runs = list(permutations(names))
    for at in range(len(runs)):
        await taken(f"p{at}")

    for at, run in enumerate(runs):
        for turn in range(2):
            events = [report(name, f"{at}-{turn}-{name}", order_id=f"p{at}") for name in run]
            assert (await carrier(*events)).json()["rejected"] == []

    async def returned():
        return {at for at in range(len(runs)) if await gateway.last(OrderReturned, f"p{at}")} == set(range(len(runs)))

    await eventually(returned)
    views = [fold(f"p{at}", await gateway.history(f"p{at}", *KINDS)) for at in range(len(runs))]
    ends = {(view.status, view.returned, view.returned_total) for view in views}
    both = tuple(OrderedPieces(product_id=name, quantity=2) for name in ("tea", "cup"))
    assert ends == {("delivered", both, PRICE * 4)}
    assert [len(await gateway.all_of(OrderReturned, f"p{at}")) for at in range(len(runs))] == [1] * len(runs)


async def test_what_was_returned_before_is_not_returned_again(carrier, gateway, taken, eventually):
    """Of a parcel with named pieces as many as are left of the order; of one without a number nothing twice."""
    await taken("o5")
    await carrier(report("shipment_returned", "w1", order_id="o5", lines=[{"product_id": "tea", "quantity": 1}]))
    await eventually(lambda: gateway.last(OrderReturned, "o5"))

    await carrier(report("shipment_returned", "w2", order_id="o5", tracking="JD2", reason="address unknown"))

    async def second():
        return len(await gateway.all_of(OrderReturned, "o5")) == 2

    await eventually(second)
    last = (await gateway.last(OrderReturned, "o5")).event
    assert {one.product_id: one.quantity for one in last.lines} == {"tea": 1, "cup": 2}
    assert (last.amount, last.total, last.reason) == (PRICE * 3, PRICE * 4, "address unknown")


async def test_a_parcel_of_an_order_that_was_never_shipped_returns_nothing():
    """Nor does one of an order whose pieces have all come back."""
    parcel = ShipmentReturned(order_id="o1")
    view = fold("o1", [])

    assert orders.returned_by_carrier(view, parcel) is None
    assert (
        orders.returned_by_carrier(
            msgspec.structs.replace(
                view,
                status="delivered",
                lines=created("o1").lines,
                returned=tuple(OrderedPieces(product_id=name, quantity=2) for name in ("tea", "cup")),
            ),
            parcel,
        )
        is None
    )
