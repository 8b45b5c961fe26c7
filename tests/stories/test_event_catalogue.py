"""The catalogue's pages: events are found and explained, and what was no event waits with its reason."""

import asyncio
import json
from html import unescape
from pathlib import Path

import pytest

from mesh import Mesh, Service
from mesh.broker.memory import MemoryMesh
from mesh.broker.protocol import Message, Outgoing
from mesh.dead_letters import store_dead_letter
from mesh.events.cart import CartIdle, CartUpdated
from mesh.mesh import received
from mesh.runtime.run import running
from services.event_catalogue import service as catalogue
from services.event_catalogue.quarantine import quarantined

GENERATED = json.loads(Path("deploy/generated/asyncapi.json").read_text())


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


async def test_what_can_be_read_again_is_handled_once_by_an_operator(region, staff, monkeypatch):
    """By the button, however often it is pressed; nobody else may, each time is on record, and what fails says why."""
    mesh, port = region
    viewer, operator = [await staff(mesh, port, role) for role in ("viewer", "operator")]
    shop, page = Service("shop", publishes=(CartUpdated,)), "/catalogue/quarantine"

    @shop.on(CartIdle)
    async def fill(idle: CartIdle):
        if idle.cart_id == "c2":
            raise RuntimeError("a defect")
        yield CartUpdated(cart_id=idle.cart_id, visitor_id="v", lines=())

    async with running(shop, mesh, http=None):
        await mesh.publish(CartIdle(cart_id="c2", update_id="u"))
        (other,) = await mesh.broker.read_few("COMMERCE_us", ["ev.us.cart.idle.c2"])
        letter = Message(
            "ev.us.cart.idle.c1",
            _cloud_event("cart.idle.v1", "c1", cart_id="c1", update_id="u"),
            9,
            other.stored,
            {},
            attempt=1,
        )
        for message in (letter, other):
            await store_dead_letter(mesh, "shop", "shop-fill", message, "not an event of the time", invalid=True)
        await store_dead_letter(mesh, "shop", "shop-other", letter, "a failure")
        seen = [(await one.get(page)).text for one in (viewer, operator)]

        refused = await viewer.send(f"{page}/1/redrive", page=page)
        pressed = await asyncio.gather(*(operator.send(f"{page}/1/redrive", page=page) for _ in range(4)))
        failed, unknown, no_quarantine = [
            await operator.send(f"{page}/{number}/redrive", page=page) for number in (2, 77, 3)
        ]

    assert ["Handle 1 again" in text for text in seen] == [False, True]
    assert refused.status_code == 403
    assert {one.status_code for one in pressed} <= {303, 409}
    assert 303 in {one.status_code for one in pressed}
    assert len(await mesh.broker.read_few("COMMERCE_us", ["ev.us.cart.updated.c1"])) == 1
    assert [one.number for one in await quarantined(mesh)] == [2]
    assert (failed.status_code, "a defect" in failed.text) == (409, True)
    assert (unknown.status_code, "it waits no longer" in unknown.text) == (409, True)
    assert (no_quarantine.status_code, "see the page Live" in no_quarantine.text) == (409, True)
    changes = [received(one).event async for one in mesh.broker.read("OPERATIONS_us", ["ev.us.console.changed.>"])]
    assert {(one.action, one.subject) for one in changes} == {("redrive-message", "1")}
    assert "Number 1 was handled." in (await operator.get(f"{page}?done=1")).text


async def test_the_whole_catalogue_is_a_document(region, staff):
    """AsyncAPI 3.0, as a file to download: the same that is generated, for the regions of this mesh."""
    mesh, port = region
    viewer = await staff(mesh, port, "viewer")

    answer = await viewer.get("/catalogue/asyncapi.json")

    assert answer.headers["content-disposition"] == 'attachment; filename="asyncapi.json"'
    assert answer.headers["content-type"].startswith("application/vnd.aai.asyncapi+json")
    assert set(GENERATED["channels"]) <= set(answer.json()["channels"])
    assert GENERATED["components"]["messages"].items() <= answer.json()["components"]["messages"].items()
    assert list(answer.json()["servers"]) == ["us"]
    assert "asyncapi.json" in (await viewer.get("/catalogue")).text


def _cloud_event(type_, key, **data):
    envelope = {"specversion": "1.0", "id": key, "source": "/us/shop", "type": type_, "subject": key}
    return json.dumps({**envelope, "time": "2026-05-01T12:00:00Z", "data": data}).encode()


async def _dead(mesh, count):
    return len([one async for one in mesh.broker.read("DEAD_us", ["dead.us.>"])]) == count
