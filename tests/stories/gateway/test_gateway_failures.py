"""What a gateway answers that cannot store, and what it shows to whoever operates it."""

from litestar.testing import AsyncTestClient

from mesh.errors import Unavailable
from mesh.web.health import health_app
from tests.stories.gateway.conftest import KEY, cart, view


async def test_while_jetstream_is_down_nothing_is_accepted(settings, open_gateway, regions, gateway, eventually):
    """503 with Retry-After, never a 202 for what is not stored; the same request later is accepted once."""
    settings(store_patience="100ms")
    client, events = await open_gateway(), {"events": [cart(), view("e2")]}
    regions.stop("us")

    refused = await client.post("/v1/events", json=events, headers=KEY)
    unready = await client.get("/v1/updates")
    regions.start("us")
    accepted = await client.post("/v1/events", json=events, headers=KEY)

    assert (refused.status_code, unready.status_code) == (503, 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert accepted.json() == {"accepted": 2, "duplicates": 0, "rejected": []}
    await eventually(lambda: _is_ready(client), within=60)


async def _is_ready(client):
    return (await client.get("/v1/updates")).status_code == 200


async def test_half_a_request_stored_is_503_and_safe_to_repeat(open_gateway, settings, memory_broker, monkeypatch):
    """When one stream takes its events and the other does not, a retry with the same ids completes it."""
    settings(store_patience="50ms")
    client, events = await open_gateway(), {"events": [cart(), view("e2")]}
    with monkeypatch.context() as broken:

        async def refuse(*_):
            raise Unavailable("no quorum")

        broken.setattr(memory_broker, "store_batch", refuse)
        assert (await client.post("/v1/events", json=events, headers=KEY)).status_code == 503

    answer = await client.post("/v1/events", json=events, headers=KEY)

    assert answer.json() == {"accepted": 2, "duplicates": 1, "rejected": []}


async def test_a_gateway_that_is_full_says_so_at_once(settings, open_gateway):
    """What waits for JetStream in one process is bounded."""
    settings(events_at_once=1)
    client = await open_gateway()

    answer = await client.post("/v1/events", json={"events": [view("e1"), view("e2")]}, headers=KEY)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_health_and_metrics_are_not_public(post, open_gateway, gateway):
    """What the gateway counts is read from the process's own port, where no storefront reaches."""
    client = await open_gateway()
    await post(view("e1"))

    assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")] == [404] * 3
    async with AsyncTestClient(health_app(gateway)) as health:
        assert 'cartmesh_gateway_events_total{outcome="accepted"}' in (await health.get("/metrics")).text
