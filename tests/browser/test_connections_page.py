"""Connections as a storefront's developer sees it: real Chromium, a gateway that is sent right and wrong requests."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import running
from services import connect, console
from services.gateway import service as gateway
from tests.pages import examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECRET_WORDS = ("ann@example.com", "Ann Lee", "4111111111111111", "tel-0170")


@dataclass
class House:
    """A region's console with Connections behind it, and its gateway."""

    url: str
    mesh: Mesh
    gateway: httpx.AsyncClient


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house():
    regions, patch = MemoryMesh("us"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        meshes = {}
        for name in ("gateway", "connect", "console"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, name)
        entry = await stack.enter_async_context(running(gateway, meshes["gateway"], http=("127.0.0.1", 0)))
        patch.setenv("CARTMESH_URL_GATEWAY", f"http://127.0.0.1:{entry.port}")
        pages = await stack.enter_async_context(running(connect.service, meshes["connect"], http=("127.0.0.1", 0)))
        patch.setenv("CARTMESH_URL_CONNECT", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{entry.port}")
        yield House(f"http://127.0.0.1:{run.port}", meshes["console"], await stack.enter_async_context(client))


@pytest.mark.timeout(300)
async def test_a_developer_sees_each_request_arrive_and_why_it_was_refused(house, visit):
    """From the empty page to a refused call's shape, without what it says of anybody; live, and by keyboard."""
    logged = []
    page = await visit(permissions=["clipboard-read", "clipboard-write"])
    listen(page, logged)
    await sign_in(page, house.mesh, house.url, "viewer")
    await page.goto(f"{house.url}/console")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Connections").click()
    await expect(page.get_by_text("Nothing came in yet.")).to_be_visible()
    await expect(page.locator("#live")).to_have_text("live")
    await page.get_by_role("button", name="Copy the example: Segment's libraries").click()
    copied = await page.evaluate("navigator.clipboard.readText()")
    await examine(page, "empty")

    call = {
        "event": "Order Completed",
        "messageId": "m-1",
        "anonymousId": "a-1",
        "properties": {
            "order_id": "o-1",
            "total": "4111111111111111 EUR",
            "currency": "EUR",
            "products": [],
            "email": "ann@example.com",
            "tel-0170": {"ann@example.com": "Ann Lee"},
        },
    }
    view = {"event": "Product Viewed", "messageId": "m-2", "anonymousId": "a-1", "properties": {"product_id": "s"}}
    await house.gateway.post("/v1/track", json=call, auth=("demo", ""))
    await house.gateway.post("/v1/track", json=view, auth=("demo", ""))
    await house.gateway.post("/v1/track", json=view, auth=("nobody", ""))
    await house.gateway.post("/v1/track", json=view | {"event": "Video of ann@example.com"}, auth=("demo", ""))

    rows = page.locator(".requests > li")
    await expect(rows).to_have_count(4)
    await expect(rows.nth(0)).to_contain_text("not understood")
    await expect(rows.nth(1)).to_contain_text("401")
    await expect(rows.nth(2)).to_contain_text("product_viewed")
    await expect(rows.nth(3)).to_contain_text("$.properties.total")
    await rows.nth(3).locator("summary").press("Enter")
    await expect(rows.nth(3).get_by_text("properties.order_id: text of 3")).to_be_visible()
    await house.gateway.post("/v1/events", json={"events": [{"id": "e", "type": "nothing"}]}, headers=KEY)
    await expect(rows).to_have_count(5)
    await expect(rows.nth(4).get_by_text("properties.order_id: text of 3")).to_be_visible()
    text = await page.content()
    assert [word for word in SECRET_WORDS if word in text] == []
    await examine(page, "requests")

    await page.get_by_label("Which").select_option("bad")
    await expect(rows).to_have_count(4)
    await page.get_by_label("From").select_option("cartmesh")
    await expect(rows).to_have_count(1)
    assert f"http://127.0.0.1:{house.gateway.base_url.port}" in copied
    assert logged == []


KEY = {"authorization": "Bearer demo"}
