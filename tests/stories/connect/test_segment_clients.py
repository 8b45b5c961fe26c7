"""The analytics libraries of Segment, unchanged, send to the gateway as to Segment itself."""

import asyncio
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import segment.analytics

from mesh.events.cart import CartConverted, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.interaction import ProductViewed
from mesh.events.order import OrderConfirmed, OrderPlaced
from mesh.money import Money
from tests.stories.connect.conftest import PAGE, SERVER

TEA = {"product_id": "sku-1", "name": "Tea", "price": 12.99, "currency": "EUR", "quantity": 2}
ORDER = {"order_id": "o-1", "total": 25.98, "currency": "EUR", "products": [TEA]}
NODE = """
const { Analytics } = require(process.env.CLIENT)
const analytics = new Analytics({ writeKey: process.env.KEY, host: process.env.HOST, path: '/v1/batch', flushAt: 2 })
const failed = []
analytics.on('error', (error) => failed.push(`${error.code} ${error.reason}`))
const anonymousId = 'n-1'
analytics.track({ anonymousId, event: 'Product Added', properties: JSON.parse(process.env.TEA) })
analytics.track({ anonymousId, event: 'Order Completed', properties: JSON.parse(process.env.ORDER) })
analytics.identify({ anonymousId, userId: 'c-9', traits: { email: 'ann@example.com', name: 'Ann' } })
analytics.closeAndFlush({ timeout: 8000 }).then(() => console.log(JSON.stringify(failed)))
"""


@pytest.mark.parametrize("gzip", [False, True])
async def test_the_python_library_sends_carts_orders_and_people(shop, gzip):
    """segment-analytics-python, with the shop's server key: what it reports counts as revenue."""
    failed = []
    client = segment.analytics.Client(
        SERVER, host=shop.url, gzip=gzip, upload_interval=0.1, on_error=lambda error, _: failed.append(error)
    )
    client.track(anonymous_id="p-1", event="Product Viewed", properties=TEA)
    client.track(anonymous_id="p-1", event="Product Added", properties=TEA, timestamp=datetime.now(UTC))
    client.identify(anonymous_id="p-1", user_id="c-1", traits={"email": "ann@example.com", "name": "Ann"})
    client.track(anonymous_id="p-1", user_id="c-1", event="Order Completed", properties=ORDER)
    client.track(anonymous_id="p-1", event="Video Played")

    await asyncio.to_thread(client.shutdown)

    assert failed == []
    assert [one.product_id for one in await shop.events(ProductViewed)] == ["sku-1"]
    (cart,) = await shop.events(CartUpdated)
    assert [(line.product_id, line.quantity, line.price) for line in cart.lines] == [
        ("sku-1", 2, Money(amount=1299, currency="EUR"))
    ]
    (order,) = await shop.events(OrderConfirmed)
    assert (order.total, order.visitor_id, order.customer_id) == (Money(amount=2598, currency="EUR"), "p-1", "c-1")
    assert [one.cart_id for one in await shop.events(CartConverted)] == [cart.cart_id]
    (person,) = await shop.events(CustomerIdentified)
    assert (person.visitor_id, person.email, person.by) == ("p-1", "ann@example.com", "server")


async def test_the_python_library_with_a_pages_key_cannot_count_money(shop):
    """The same calls with the key that stands in pages: the order stops offers, and is no revenue."""
    client = segment.analytics.Client(PAGE, host=shop.url, upload_interval=0.1)
    client.track(anonymous_id="p-1", event="Order Completed", properties=ORDER)

    await asyncio.to_thread(client.shutdown)

    assert [one.by for one in await shop.events(OrderPlaced)] == ["page"]
    assert await shop.events(OrderConfirmed) == []


@pytest.fixture(scope="session")
def node_client():
    """The folder of @segment/analytics-node, installed once by npm and kept between runs."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not on this machine: @segment/analytics-node was not tried")
    kept = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cartmesh-tests" / "analytics-node-2"
    if not (kept / "node_modules" / "@segment" / "analytics-node").exists():
        kept.mkdir(parents=True, exist_ok=True)
        installing = ["npm", "install", "--prefix", str(kept), "--no-audit", "--no-fund", "@segment/analytics-node@2"]
        made = subprocess.run(installing, capture_output=True, text=True, timeout=120, check=False)
        if made.returncode:
            pytest.skip(f"npm could not install @segment/analytics-node: {made.stderr[-200:]}")
    return kept / "node_modules" / "@segment" / "analytics-node"


async def test_the_node_library_sends_carts_and_orders(shop, node_client):
    """@segment/analytics-node: batches without gzip, times of JavaScript, ids of its own."""
    environment = os.environ | {
        "CLIENT": str(node_client),
        "KEY": SERVER,
        "HOST": shop.url,
        "TEA": json.dumps(TEA),
        "ORDER": json.dumps(ORDER),
    }

    running = await asyncio.create_subprocess_exec(
        "node", "-e", NODE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(running.communicate(), 30)

    assert (out.decode().strip(), err.decode()) == ("[]", "")
    (cart,) = await shop.events(CartUpdated)
    assert [(line.product_id, line.quantity) for line in cart.lines] == [("sku-1", 2)]
    assert [(one.order_id, one.visitor_id) for one in await shop.events(OrderConfirmed)] == [("o-1", "n-1")]
    assert [one.visitor_id for one in await shop.events(CustomerIdentified)] == ["n-1"]
