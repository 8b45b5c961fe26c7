"""From the storefront's request to the mail, every event belongs to one trace."""

from datetime import UTC, datetime

import httpx
import pytest

from mesh.events.offer import OfferSent
from mesh.topology import Topology
from mesh.up import Up

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.timeout(200)
async def test_a_left_carts_story_is_one_trace(tmp_path, eventually):
    """The cart, its timer, abandonment, score, decision, claim and mail carry the trace id of the request."""
    now = datetime.now(UTC).isoformat()
    line = {"product_id": "p1", "quantity": 1, "price": {"amount": 4500, "currency": "EUR"}, "name": "Lamp"}
    events = [
        {"type": "customer_identified", "email": "v1@example.test", "locale": "en-GB"},
        {"type": "consent_changed", "channel": "email", "granted": True},
        {"type": "cart_updated", "cart_id": "c1", "lines": [line]},
    ]
    told = [{"id": f"e{at}", "time": now, "visitor_id": "v1", **event} for at, event in enumerate(events)]
    environment = {"CARTMESH_ABANDON_AFTER": "1s", "CARTMESH_JOURNEY_QUIET": ""}
    async with Up(Topology.of(["us"], nodes=1), directory=tmp_path, environment=environment) as up:
        headers = {"Authorization": "Bearer demo", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        async with httpx.AsyncClient(base_url=up.gateway("us"), headers=headers) as client:
            assert (await client.post("/v1/events", json={"events": told})).status_code == 202
        operator = await up.operator("us")

        async def mailed():
            story = await operator.history("c1", "cart", "offer")
            return story if any(one.event.channel == "email" for one in story.of(OfferSent)) else None

        story = await eventually(mailed, within=60)

    kinds = [type(one.event).__name__ for one in story]
    assert {"CartUpdated", "CartIdle", "CartAbandoned", "CartScored", "OfferDecided", "OfferClaimed"} <= set(kinds)
    assert {(one.traceparent or "").split("-")[1:2] == [TRACE] for one in story} == {True}, kinds
