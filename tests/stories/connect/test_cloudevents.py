"""CloudEvents over HTTP, as the CNCF's own SDK sends them: binary, structured and in batches."""

import base64
import json
from datetime import UTC, datetime

import cloudevents.v1.http as version_1
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from mesh.events.cart import CartUpdated
from mesh.events.interaction import ProductViewed
from tests.stories.connect.conftest import SERVER

KEY = {"authorization": "Bearer demo"}
VIEW = {"visitor_id": "v1", "product_id": "sku-1"}
LINE = {"product_id": "sku-1", "quantity": 1, "price": {"amount": 1299, "currency": "EUR"}}


def attributes(**more):
    return {"id": "1", "source": "/shop/ü", "type": "product_viewed", "time": datetime.now(UTC)} | more


def written(**more):
    """An event as its JSON format writes it."""
    event = attributes(specversion="1.0", data=VIEW) | {"time": datetime.now(UTC).isoformat()} | more
    return {name: value for name, value in event.items() if value is not None}


@pytest.fixture
async def send(mesh, gateway_client, monkeypatch):
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", SERVER)
    async with gateway_client(mesh) as client:

        async def post(content, headers, key=KEY):
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            return await client.post("/v1/cloudevents", content=body, headers={**headers, **key})

        post.client = client
        yield post


async def views(mesh):
    return [received async for received in mesh.read(ProductViewed)]


@pytest.mark.parametrize("mode", [to_binary_event, to_structured_event])
@pytest.mark.parametrize("type_", ["product_viewed", "interaction.product_viewed.v1", "interaction.product_viewed"])
async def test_the_sdks_events_are_stored_with_their_time(send, mesh, mode, type_):
    """In either mode, under the name that senders use or the one under which it is stored."""
    event = CloudEvent(attributes(type=type_, datacontenttype="application/json"), VIEW)
    message = mode(event)

    answer = await send(message.body, message.headers)

    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    (view,) = await views(mesh)
    assert (view.event.product_id, abs((view.time - event.get_time()).total_seconds()) < 0.001) == ("sku-1", True)


@pytest.mark.parametrize("mode", [version_1.to_binary, version_1.to_structured])
async def test_the_older_interface_of_the_sdk_works_too(send, mesh, mode):
    """The one that most programs in use were written with."""
    event = version_1.CloudEvent(
        {"source": "/shop", "type": "cart_updated"}, {**VIEW, "cart_id": "c1", "lines": [LINE]}
    )
    headers, body = mode(event)

    answer = await send(body, headers)

    assert (answer.status_code, answer.json()["rejected"]) == (202, [])
    assert [one.cart_id async for one in _events(mesh, CartUpdated)] == ["c1"]


async def _events(mesh, kind):
    async for received in mesh.read(kind):
        yield received.event


async def test_a_batch_is_stored_and_each_bad_event_named(send, mesh):
    """By its place in the batch; what is not understood as well."""
    batch = [
        written(),
        written(id="2", type="com.example.other"),
        written(id="3", data={"visitor_id": "v1"}),
        written(id="4", data=None, data_base64=base64.b64encode(json.dumps(VIEW).encode()).decode()),
        written(id="", data=VIEW),
        written(id="6", specversion="0.3"),
        written(id="7", time="yesterday"),
        written(id="8", data="text"),
        "no event",
    ]
    answer = (await send(batch, {"content-type": "application/cloudevents-batch+json"})).json()

    assert answer["accepted"] == 2
    assert [(one["index"], one["name"]) for one in answer["not_understood"]] == [(1, "com.example.other")]
    assert [(one["index"], one["path"]) for one in answer["rejected"]] == [
        (2, "$.product_id"),
        (4, "$.id"),
        (5, "$.specversion"),
        (6, "$.time"),
        (7, "$.data"),
        (8, "$"),
    ]


async def test_source_and_id_together_name_an_event(send, mesh):
    """The same again is a duplicate; the same id of another source is another event."""
    headers = {"content-type": "application/cloudevents+json"}
    event = written()
    answers = [await send(one, headers) for one in (event, event, event | {"source": "/other"})]

    assert [one.json()["duplicates"] for one in answers] == [0, 1, 0]
    assert len(await views(mesh)) == 2


async def test_a_key_may_say_no_more_than_on_v1_events(send, mesh):
    """Products are listed by the shop's server; a page's key is refused with the reason."""
    listed = written(type="product.listed.v1", data={"product_id": "sku-1"})
    headers = {"content-type": "application/cloudevents+json"}
    page = await send(listed, headers)
    server = await send(listed, headers, {"authorization": f"Bearer {SERVER}"})

    assert (page.status_code, server.status_code) == (422, 202)
    assert (await send(listed, headers, {})).status_code == 401


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"{", {"content-type": "application/cloudevents+json"}),
        (b"{}", {"content-type": "application/cloudevents-batch+json"}),
        (b"{}", {"content-type": "application/json"}),
        (b"<a/>", {"content-type": "application/xml", "ce-specversion": "1.0", "ce-id": "1"}),
        (b"\xff{", {"content-type": "application/json", "ce-specversion": "1.0", "ce-id": "1"}),
    ],
)
async def test_what_is_no_cloudevent_is_400(send, content, headers):
    """With what to send."""
    assert (await send(content, headers)).status_code == 400
