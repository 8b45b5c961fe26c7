"""What tests of adapters share: a gateway that listens, on the in-memory twin, and what is stored there."""

import base64
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import httpx
import pytest

from mesh import Mesh
from mesh.runtime.run import running
from services import carts
from services.gateway import service as gateway_service

PAGE, SERVER = "demo", "a-server-key"


def basic(key):
    return {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


class Shop:
    """A gateway's address, and all that it stored."""

    def __init__(self, url, mesh, http):
        self.url, self.mesh, self.http = url, mesh, http

    async def all(self, *kinds):
        return [received async for received in self.mesh.read(*kinds)]

    async def events(self, *kinds):
        return [received.event for received in await self.all(*kinds)]

    async def post(self, path, body, *, key=PAGE, **options):
        return await self.http.post(path, json=body, headers=basic(key), **options)


@pytest.fixture
async def open_shop(regions, monkeypatch):
    """Open a shop's gateway, with settings."""
    async with AsyncExitStack() as stack:

        async def opened(**settings):
            monkeypatch.setenv("CARTMESH_SERVER_KEYS", SERVER)
            for name, value in settings.items():
                monkeypatch.setenv(f"CARTMESH_{name.upper()}", value)
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            mesh = Mesh(broker, "gateway", others=("eu",))
            await stack.enter_async_context(running(carts.service, Mesh(broker, "carts", others=("eu",))))
            run = await stack.enter_async_context(running(gateway_service, mesh, http=("127.0.0.1", 0)))
            url = f"http://127.0.0.1:{run.port}"
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
            return Shop(url, mesh, http)

        yield opened


@pytest.fixture
async def shop(open_shop):
    """A shop with the settings as they are."""
    return await open_shop()


def now():
    return datetime.now(UTC).isoformat()
