"""Functions at addresses: a FaaS gets CloudEvents in binary mode, and its answers decide as a handler's end does."""

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary_event
from cloudevents.core.formats.json import JSONFormat

from tests.partner_endpoint import opened_endpoint, status

FILE = """
[label_parcels]
on = ["order.placed.v1"]
address = "{url}"
filter = [{{ prefix = {{ subject = "DE-" }} }}]
headers = {{ Authorization = "Bearer s3cret" }}
retries = 3
"""


@pytest.fixture
async def endpoint():
    async with opened_endpoint() as opened:
        yield opened


async def test_an_address_gets_what_a_function_would_without_what_is_personal(open_place, endpoint):
    """In binary mode, as the CloudEvents SDK reads it; a busy one is asked again when it says, others with backoff."""
    place = await open_place(FUNCTIONS_PRIVATE_ADDRESSES="true")
    busy = [status(503, Retry_After="0"), status(500), status(204)]
    endpoint.answers["/hook"] = lambda count, _: busy[min(count, 3) - 1]
    (place.folder / "labels.toml").write_text(FILE.format(url=endpoint.url()))
    view = await place.looked("labels.toml")

    await place.order("FR-1")
    await place.order("DE-2")
    calls = await place.calls("label_parcels", "again", "failed", "done")
    request = endpoint.of()[-1]
    event = from_binary_event(HTTPMessage(request.headers, request.body), JSONFormat())

    assert view.problem is None
    assert len({one.headers["ce-id"] for one in endpoint.of()}) == 1
    assert (event.get_type(), event.get_subject(), event.get_source()) == ("order.placed.v1", "DE-2", "/us/orders")
    assert event.get_data()["order_id"] == "DE-2"
    assert "visitor_id" not in event.get_data()
    assert request.headers["authorization"] == "Bearer s3cret"
    assert [one.error for one in calls] == ["answered 503", "answered 500", None]
    assert "s3cret" not in repr(view) + repr(calls)


async def test_an_address_within_ones_own_network_is_not_connected_to(open_place, endpoint):
    """Unless a setting allows it: the event becomes a dead letter that says why, and nothing arrives."""
    place = await open_place()
    url = endpoint.url().replace("http:", "https:")
    (place.folder / "labels.toml").write_text(FILE.format(url=url))
    await place.looked("labels.toml")

    await place.order("DE-1")
    parked = await place.parked(1)

    assert "127.0.0.1" in parked["functions-label-parcels"].reason
    assert endpoint.requests == []
