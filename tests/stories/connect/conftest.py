"""What tests of adapters share: a gateway that listens, on the in-memory twin, and what is stored there."""

import base64
import hmac
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from hashlib import sha256

import httpx
import pytest

from mesh import Mesh
from mesh.runtime.run import running
from services import carts
from services.gateway import service as gateway_service
from tests.shopify_webhooks import OLD, SECRET

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


@pytest.fixture
async def shopify(memory_broker, gateway_client, monkeypatch):
    monkeypatch.setenv("CARTMESH_SHOPIFY_SECRETS", f"tea={SECRET},tea={OLD}")
    monkeypatch.setenv("CARTMESH_SHOPIFY_CURRENCY", "EUR")
    mesh = Mesh(memory_broker, "gateway", others=("eu",))
    async with gateway_client(mesh) as client:
        yield _sender(Shop("", mesh, client))


def _sender(shop):

    async def send(topic, body, *, secret=SECRET, signature=None, webhook="w-1"):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = base64.b64encode(hmac.new(secret.encode(), raw, sha256).digest()).decode()
        headers = {"X-Shopify-Topic": topic, "X-Shopify-Webhook-Id": webhook}
        if signature != "":
            headers["X-Shopify-Hmac-Sha256"] = signature or signed
        return await shop.http.post("/v1/shopify", content=raw, headers=headers)

    send.shop = shop
    return send
