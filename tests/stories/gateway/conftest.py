"""What tests of the gateway share: a gateway on the in-memory twin, and what a storefront sends."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh
from mesh.envelope import decode

KEY = {"authorization": "Bearer demo"}
LINE = {"product_id": "sku-1", "quantity": 2, "price": {"amount": 1299, "currency": "EUR"}}


def cart(id_="e1", *, cart_id="c1", ago=0.0, **more):
    time = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    return {
        "id": id_,
        "type": "cart_updated",
        "time": time,
        "visitor_id": "v1",
        "cart_id": cart_id,
        "lines": [LINE],
        **more,
    }


def order(id_="e9", *, order_id="o1", cart_id="c1", **more):
    return cart(id_, cart_id=cart_id, order_id=order_id, total=LINE["price"], **more) | {"type": "order_placed"}


def confirmed(id_="e10", **more):
    return order(id_, **more) | {"type": "order_confirmed"}


def view(id_, product_id="sku-1"):
    return {
        "id": id_,
        "type": "product_viewed",
        "time": datetime.now(UTC).isoformat(),
        "visitor_id": "v1",
        "product_id": product_id,
    }


@pytest.fixture
def settings(monkeypatch):
    """Set the gateway's settings before it is opened."""

    def change(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"CARTMESH_{name.upper()}", str(value))

    return change


@pytest.fixture
async def gateway(memory_broker):
    return Mesh(memory_broker, "gateway", others=("eu",))


@pytest.fixture
async def open_gateway(gateway, gateway_client):
    """Open the gateway once its settings are made."""
    async with AsyncExitStack() as stack:

        async def opened():
            return await stack.enter_async_context(gateway_client(gateway))

        yield opened


@pytest.fixture
async def post(open_gateway):
    """Send events, get the answer."""
    client = await open_gateway()

    async def send(*events, headers=KEY):
        return await client.post("/v1/events", json={"events": events}, headers=headers)

    return send


async def stored(gateway, *kinds):
    return [received async for received in gateway.read(*kinds)]


def timers(regions):
    """What is scheduled, newest per subject."""
    commerce = regions.regions["us"].logs["COMMERCE_us"]
    return {m.subject: decode(m.body)[1] for m in commerce.messages.values() if m.subject.startswith("timer.")}
