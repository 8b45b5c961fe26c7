"""The catalogue as people see it: real Chromium, every event of the mesh."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from playwright.async_api import expect

from mesh import Mesh, Service
from mesh.broker.memory import MemoryMesh
from mesh.broker.protocol import Message
from mesh.dead_letters import store_dead_letter
from mesh.envelope import encode
from mesh.events.cart import CartIdle
from mesh.runtime.run import running
from services import console
from services.event_catalogue import service as catalogue
from tests.pages import SIZES, examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
shop = Service("shop")


@shop.on(CartIdle)
async def count_idle(idle: CartIdle) -> None:
    """Counts it."""


@pytest.mark.timeout(300)
async def test_somebody_looks_an_event_up(visit, monkeypatch):
    """By search, to its schema and sample, and on to the quarantine; nothing is logged by the browser."""
    logged, regions = [], MemoryMesh("us")
    async with AsyncExitStack() as stack:
        meshes = [Mesh(regions.broker("us"), name) for name in ("event-catalogue", "console", "shop")]
        for mesh in meshes:
            stack.push_async_callback(mesh.broker.drain)
        pages = await stack.enter_async_context(running(catalogue, meshes[0], http=("127.0.0.1", 0)))
        monkeypatch.setenv("CARTMESH_URL_EVENT_CATALOGUE", f"http://127.0.0.1:{pages.port}")
        front = await stack.enter_async_context(running(console.service, meshes[1], http=("127.0.0.1", 0)))
        url, page = f"http://127.0.0.1:{front.port}", await visit()
        listen(page, logged)
        await sign_in(page, meshes[1], url, "viewer")

        await page.goto(f"{url}/catalogue")
        await page.get_by_label("Words").fill("customer identified")
        await page.get_by_role("button", name="Search").click()
        await expect(page.get_by_role("status")).to_contain_text("has all of: customer identified")
        await examine(page, "catalogue")
        await page.get_by_role("link", name="customer.identified.v1", exact=True).click()
        await expect(page.locator("#sample-json")).to_contain_text("aes-siv:")
        await examine(page, "event", SIZES[1:])
        message = Message("ev.us.cart.idle.c1", b"{", 7, datetime.now(UTC), {}, attempt=1)
        await store_dead_letter(meshes[2], "carts", "carts-x", message, "not a CloudEvent: truncated", invalid=True)
        await page.goto(f"{url}/catalogue/quarantine")
        await expect(page.get_by_role("row", name="ev.us.cart.idle.c1")).to_contain_text("Cannot be read")
        body = encode(CartIdle(cart_id="c2", update_id="u"), id="c2", region="us", source="shop")
        message = Message("ev.us.cart.idle.c2", body, 8, datetime.now(UTC), {}, attempt=1)
        await store_dead_letter(meshes[2], "shop", "shop-count-idle", message, "of a later release", invalid=True)
        await stack.enter_async_context(running(shop, meshes[2], http=None))
        await sign_in(page, meshes[1], url, "operator")
        await page.goto(f"{url}/catalogue/quarantine")
        await examine(page, "quarantine")
        await page.get_by_role("button", name="Handle 2 again").press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("Number 2 was handled.")
        await expect(page.get_by_role("row")).to_have_count(2)

    assert logged == []
