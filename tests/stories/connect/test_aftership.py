"""Webhooks of AfterShip: what carriers report becomes events about parcels, once, and nothing that is not signed."""

import base64
import hmac
import json
import time
from hashlib import sha256

import pytest

from mesh import Mesh
from mesh.events.shipment import ShipmentCreated, ShipmentDelivered, ShipmentDispatched, ShipmentReturned

SECRET = "aftership_0123456789"
KINDS = (ShipmentCreated, ShipmentDispatched, ShipmentDelivered, ShipmentReturned)


def update(tag, *, event_id="e-1", **tracking):
    """A webhook as its documentation shows it, without the fields that nothing is made of."""
    message = {"id": "t-1", "order_id": "order-1", "slug": "dhl", "tracking_number": "JD01", "tag": tag, **tracking}
    return {"event": "tracking_update", "event_id": event_id, "ts": int(time.time()), "msg": message}


class Hooks:
    """The gateway as AfterShip sees it."""

    def __init__(self, client, mesh):
        self.client, self.mesh = client, mesh

    async def send(self, body, *, secret=SECRET):
        raw = json.dumps(body).encode()
        signed = base64.b64encode(hmac.new(secret.encode(), raw, sha256).digest()).decode()
        headers = {"aftership-hmac-sha256": signed, "content-type": "application/json"}
        return await self.client.post("/v1/aftership", content=raw, headers=headers)

    async def events(self):
        return [received.event async for received in self.mesh.read(*KINDS)]


@pytest.fixture
async def hooks(memory_broker, gateway_client, monkeypatch):
    monkeypatch.setenv("CARTMESH_AFTERSHIP_SECRETS", f"main={SECRET}")
    mesh = Mesh(memory_broker, "gateway", others=("eu",))
    async with gateway_client(mesh) as client:
        yield Hooks(client, mesh)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("InfoReceived", ShipmentCreated(order_id="order-1", carrier="dhl", tracking="JD01")),
        ("InTransit", ShipmentDispatched(order_id="order-1", carrier="dhl", tracking="JD01")),
        ("OutForDelivery", ShipmentDispatched(order_id="order-1", carrier="dhl", tracking="JD01")),
        ("AvailableForPickup", ShipmentDispatched(order_id="order-1", carrier="dhl", tracking="JD01")),
        ("Delivered", ShipmentDelivered(order_id="order-1", carrier="dhl", tracking="JD01")),
    ],
)
async def test_a_carriers_status_becomes_an_event(hooks, tag, expected):
    """One for each status that says something of the parcel's way."""
    answer = await hooks.send(update(tag))
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert await hooks.events() == [expected]


async def test_the_way_of_a_parcel_is_stored_once(hooks):
    """Statuses of one event are one, webhooks that come again are none, and a second parcel is one of its own."""
    link = "https://www.dhl.com/track/JD01"
    for number, (tag, tracking) in enumerate(
        [("InTransit", "JD01"), ("OutForDelivery", "JD01"), ("InTransit", "JD02"), ("Delivered", "JD01")]
    ):
        body = update(tag, event_id=f"e-{number}", tracking_number=tracking, courier_tracking_link=link)
        for _ in range(2):
            assert (await hooks.send(body)).status_code == 200
    assert await hooks.events() == [
        ShipmentDispatched(order_id="order-1", carrier="dhl", tracking="JD01", tracking_url=link),
        ShipmentDispatched(order_id="order-1", carrier="dhl", tracking="JD02", tracking_url=link),
        ShipmentDelivered(order_id="order-1", carrier="dhl", tracking="JD01"),
    ]


async def test_a_parcel_that_comes_back_pays_nothing_back_by_itself(hooks):
    """Its answer says who reports that."""
    answer = await hooks.send(update("Exception", subtag="Exception_011"))
    assert answer.status_code == 200
    assert "the warehouse reports shipment_returned" in answer.json()["not_understood"][0]["reason"]
    assert await hooks.events() == []


async def test_what_is_not_signed_or_wrong_stores_nothing(hooks):
    """401 for the signature; 200 for what can never be taken, with the reason."""
    assert (await hooks.send(update("Delivered"), secret="somebody-elses-secret")).status_code == 401
    for body, path in (
        (update("Delivered", order_id=None), "$.msg.order_id"),
        (update("Delivered") | {"ts": "yesterday"}, "$.ts"),
        (update("InTransit", courier_tracking_link="javascript:alert(1)"), "$.tracking_url"),
    ):
        answer = await hooks.send(body)
        assert answer.status_code == 200
        assert answer.json()["rejected"][0]["path"] == path
    other = await hooks.send({"event": "edd_revise", "event_id": "e-9", "ts": 1, "msg": {}})
    assert other.json()["not_understood"][0]["name"] == "edd_revise"
    assert await hooks.events() == []
