"""What adapters cost beside the gateway's own interface, on a real server."""

import json
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from statistics import median

import httpx
import pytest

from mesh.runtime.discovery import discover
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from services.gateway import service as gateway
from tests.stories.connect.conftest import SERVER, basic


@pytest.fixture
async def address(monkeypatch):
    """A gateway on a server of its own."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", SERVER)
    monkeypatch.setenv("CARTMESH_KEY_RATE", "1000000")
    monkeypatch.setenv("CARTMESH_KEY_BYTES", "1000000000")
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(LocalServers(Topology.of(["us"], nodes=1), services=discover()))
        mesh = await connect(servers.access, "us", "gateway")
        stack.push_async_callback(mesh.broker.drain)
        run = await stack.enter_async_context(running(gateway, mesh, http=("127.0.0.1", 0)))
        yield f"http://127.0.0.1:{run.port}"


@pytest.mark.drill
async def test_a_batch_of_segment_costs_what_the_same_events_cost(address):
    """A hundred views: by `/v1/batch`, and by `/v1/events`, in turns, with the processor time that each takes."""
    spent = {"segment": [], "cartmesh": []}
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        for turn in range(60):
            now = datetime.now(UTC).isoformat()
            calls = [
                {
                    "type": "track",
                    "event": "Product Viewed",
                    "messageId": f"s{turn}-{at}",
                    "anonymousId": f"v{at}",
                    "timestamp": now,
                    "properties": {"product_id": "sku-1", "price": 12.99, "currency": "EUR", "category": "tea"},
                }
                for at in range(100)
            ]
            events = [
                {
                    "id": f"c{turn}-{at}",
                    "type": "product_viewed",
                    "time": now,
                    "visitor_id": f"v{at}",
                    "product_id": "sku-1",
                    "price": {"amount": 1299, "currency": "EUR"},
                    "category": "tea",
                }
                for at in range(100)
            ]
            for name, path, body, headers in (
                ("segment", "/v1/batch", {"batch": calls}, basic(SERVER)),
                ("cartmesh", "/v1/events", {"events": events}, {"authorization": f"Bearer {SERVER}"}),
            ):
                content = json.dumps(body).encode()
                began = time.process_time()
                answer = await client.post(path, content=content, headers=headers)
                spent[name].append(time.process_time() - began)
                assert answer.json()["accepted"] == 100
    segment, cartmesh = (median(spent[name]) * 1000 for name in ("segment", "cartmesh"))
    print(f"100 views: {segment:.1f} ms of CPU by /v1/batch, {cartmesh:.1f} ms by /v1/events, {segment / cartmesh:.2f}")
    assert segment < cartmesh * 1.5
