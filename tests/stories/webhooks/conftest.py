"""A partner's endpoint on this machine, and the service `webhooks` of a region in memory before it."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.delivery import DeliveryAttempted
from mesh.runtime.run import Running, running
from services.webhooks import service as webhooks
from services.webhooks.managing import Managing
from services.webhooks.webhook import WebhookForm
from tests.partner_endpoint import Endpoint, Request, opened_endpoint


@dataclass
class Place:
    """A region with the service, a partner's endpoint, and somebody who publishes events."""

    regions: MemoryMesh
    mesh: Mesh
    run: Running
    endpoint: Endpoint
    eventually: Callable[..., Any]

    @property
    def managing(self) -> Managing:
        """What people do with webhooks."""
        return self.run.provided[Managing]

    async def webhook(self, path: str = "/hook", **fields: Any) -> Any:
        """A new webhook to a path of the endpoint, and its secret."""
        form = WebhookForm(**{"name": "Warehouse", "url": self.endpoint.url(path), **fields})
        return await self.managing.create(form, "tests")

    async def attempts(self, webhook_id: str | None = None) -> list[DeliveryAttempted]:
        """What is noted of deliveries."""
        found = [one.event async for one in self.mesh.read(DeliveryAttempted)]
        return [one for one in found if webhook_id in (None, one.webhook_id)]

    async def arrived(self, count: int, path: str = "/hook") -> list[Request]:
        """What came to a path, once there is so much of it."""
        await self.eventually(lambda: len(self.endpoint.of(path)) >= count)
        return self.endpoint.of(path)

    async def noted(self, *outcomes: str) -> list[DeliveryAttempted]:
        """What is noted, once these are its outcomes."""

        async def found() -> list[DeliveryAttempted]:
            now = await self.attempts()
            return now if [one.outcome for one in now] == list(outcomes) else []

        return await self.eventually(found)

    async def pending(self) -> int:
        """How many timers wait."""
        stream = self.mesh.commerce
        return len([one async for one in self.mesh.broker.read(stream, ["timer.us.delivery.due.*"])])


@pytest.fixture
async def open_place(eventually, monkeypatch):
    """Open a region with settings."""
    async with AsyncExitStack() as stack:

        async def open_(
            regions: MemoryMesh | None = None, region: str = "us", *, pages: bool = False, **settings: str
        ) -> Place:
            known = {"WEBHOOK_SIGNING_SECRET": "a" * 32, "WEBHOOK_PRIVATE_ADDRESSES": "true", **settings}
            for name, value in known.items():
                monkeypatch.setenv(f"CARTMESH_{name}", value)
            regions = regions or MemoryMesh("us")
            brokers = [regions.broker(region) for _ in range(2)]
            for broker in brokers:
                stack.push_async_callback(broker.drain)
            others = tuple(one for one in regions.regions if one != region)
            endpoint = await stack.enter_async_context(opened_endpoint())
            http = ("127.0.0.1", 0) if pages else None
            run = await stack.enter_async_context(
                running(webhooks, Mesh(brokers[0], "webhooks", others=others), http=http)
            )
            return Place(regions, Mesh(brokers[1], "orders", others=others), run, endpoint, eventually)

        yield open_


@pytest.fixture
async def place(open_place):
    """A region in which everything is quick."""
    return await open_place(WEBHOOK_RETRIES="50ms,50ms,100ms")
