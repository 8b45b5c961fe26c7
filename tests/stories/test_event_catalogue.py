"""The catalogue's pages: events are found and explained, and what was no event waits with its reason."""

import json
from html import unescape

import pytest

from mesh import Mesh, Service
from mesh.broker.memory import MemoryMesh
from mesh.broker.protocol import Outgoing
from mesh.events.cart import CartIdle
from mesh.runtime.run import running
from services.event_catalogue import service as catalogue
from services.event_catalogue.quarantine import quarantined


@pytest.fixture
async def region():
    """The catalogue of a region in memory: its mesh, and the port of its pages."""
    regions = MemoryMesh("us")
    brokers = [regions.broker("us") for _ in range(2)]
    async with running(catalogue, Mesh(brokers[0], "event-catalogue"), http=("127.0.0.1", 0)) as run:
        yield Mesh(brokers[1], "tests"), run.port
    for broker in brokers:
        await broker.drain()


async def test_an_event_is_found_and_explained(region, staff):
    """By a word of its fields or of who consumes it; with schema, sample, publishers, consumers and senders."""
    mesh, port = region
    viewer = await staff(mesh, port, "viewer")

    everything, found, nothing, one = [
        unescape((await viewer.get(path)).text)
        for path in (
            "/catalogue",
            "/catalogue?q=loyalty+Confirmed",
            "/catalogue?q=nosuchword",
            "/catalogue/order.confirmed.v1",
        )
    ]

    assert "order.confirmed.v1" in everything
    assert "offer.decided.v1" in everything
    assert "order.confirmed.v1" in found
    assert "offer.decided.v1" not in found
    assert "No event has these words" in nothing
    schema, sample = (
        json.loads(one.partition(f'<code id="{id_}">')[2].partition("</code>")[0])
        for id_ in ("schema-json", "sample-json")
    )
    assert "order_id" in schema["$defs"]["OrderConfirmed"]["properties"]
    assert sample["type"] == "order.confirmed.v1"
    assert "the shop's servers (server key)" in one
    assert "loyalty</a>, " in one
    assert (await viewer.get("/catalogue/order.nothing.v1")).status_code == 404


async def test_what_was_no_event_waits_in_quarantine(region, staff, eventually, monkeypatch):
    """With its reason and without what it says; a handler's own failure is not among it."""
    mesh, port = region
    viewer = await staff(mesh, port, "viewer")
    empty = (await viewer.get("/catalogue/quarantine")).text
    monkeypatch.setenv("CARTMESH_ROLLOUT_WINDOW", "0s")
    shop = Service("shop")

    @shop.on(CartIdle, retries=1)
    async def fail(idle: CartIdle) -> None:
        raise RuntimeError("a defect")

    for subject, body in (
        ("ev.us.cart.idle.c1", b'{"specversion": "1.0", "secret": "anna"'),
        ("ev.us.cart.idle.c2", _cloud_event("cart.melted.v1", "c2")),
        ("ev.us.cart.idle.c3", _cloud_event("cart.idle.v1", "c3", wrong=1)),
    ):
        await mesh.broker.store("COMMERCE_us", Outgoing(subject=subject, body=body))
    await mesh.publish(CartIdle(cart_id="c4", update_id="u4"))
    async with running(shop, mesh, http=None):
        await eventually(lambda: _dead(mesh, 4))

    page = unescape((await viewer.get("/catalogue/quarantine")).text)

    assert "Nothing waits" in empty
    assert [one.subject for one in await quarantined(mesh)] == [f"ev.us.cart.idle.c{number}" for number in (3, 2, 1)]
    assert "not a CloudEvent" in page
    assert "cart.melted.v1" in page
    assert "anna" not in page
    assert "a defect" not in page
    assert "cartmesh dead redrive" in page


def _cloud_event(type_, key, **data):
    envelope = {"specversion": "1.0", "id": key, "source": "/us/shop", "type": type_, "subject": key}
    return json.dumps({**envelope, "time": "2026-05-01T12:00:00Z", "data": data}).encode()


async def _dead(mesh, count):
    return len([one async for one in mesh.broker.read("DEAD_us", ["dead.us.>"])]) == count
