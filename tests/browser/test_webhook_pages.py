"""The webhooks' pages as people see them: real Chromium, and a partner's endpoint that answers."""

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect
from standardwebhooks import Webhook

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartLine
from mesh.events.delivery import DeliveryAttempted
from mesh.events.order import OrderConfirmed
from mesh.runtime.run import running
from mesh.web.invitations import Invitations
from services import console
from services.webhooks import service as webhooks
from tests.partner_endpoint import Endpoint, opened_endpoint, status

pytestmark = pytest.mark.asyncio(loop_scope="session")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SIZES = (("light", 1280), ("dark", 390))
LINE = CartLine(product_id="sku-1", quantity=2, price=Money(amount=1299, currency="EUR"))


@dataclass
class House:
    """A region's console, with the webhooks behind it, and a partner's endpoint."""

    url: str
    console: Mesh
    orders: Mesh
    endpoint: Endpoint


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house():
    regions, patch = MemoryMesh("us"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        patch.setenv("CARTMESH_WEBHOOK_PRIVATE_ADDRESSES", "true")
        endpoint = await stack.enter_async_context(opened_endpoint())
        meshes = {}
        for name in ("webhooks", "console", "orders"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, name)
        pages = await stack.enter_async_context(running(webhooks, meshes["webhooks"], http=("127.0.0.1", 0)))
        patch.setenv("CARTMESH_URL_WEBHOOKS", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        yield House(f"http://127.0.0.1:{run.port}", meshes["console"], meshes["orders"], endpoint)


async def look(page, name, sizes=SIZES):
    """Nothing is wrong for people with other senses, and nothing is wider than the window: light and dark."""
    for scheme, width in sizes:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": 900})
        found = (await Axe().run(page, options=RULES)).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == [], name
        assert await page.evaluate("document.documentElement.scrollWidth") == width, name
        if folder := os.environ.get("CARTMESH_SCREENSHOTS"):
            await page.screenshot(path=Path(folder) / f"{name}-{scheme}.png", full_page=True)
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.timeout(600)
async def test_a_publisher_connects_a_partner_and_looks_at_what_was_sent(house, visit, eventually):
    """From the empty page to the log, with keyboard and without errors in the browser's console."""
    logged = []
    page = await visit()
    page.on("console", lambda line: logged.append(line.text))
    token = await Invitations(house.console).create(roles=("publisher",))
    await page.goto(f"{house.url}/console/join/{token}")
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_label("E-mail address").fill("ada@example.com")
    await page.get_by_label("Password").fill("correct horse battery staple")
    await page.get_by_role("button", name="Create account").click()
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Webhooks").click()
    await expect(page.get_by_role("heading", name="No partner gets anything yet")).to_be_visible()
    await look(page, "empty", SIZES[1:])

    await page.get_by_role("link", name="Create the first webhook").press("Enter")
    await page.get_by_label("Name", exact=True).fill("Warehouse")
    await page.get_by_label("Address", exact=True).fill(house.endpoint.url())
    await page.get_by_label("order.confirmed.v1").press("Space")
    await page.get_by_text("Only some of them: filters").click()
    await page.get_by_label("Filters", exact=True).fill('[{"sql": "x"}]')
    await look(page, "form")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("alert")).to_contain_text("unknown dialect 'sql'")
    await expect(page.get_by_label("order.confirmed.v1")).to_be_checked()
    await page.get_by_label("Filters", exact=True).fill('[{"prefix": {"subject": "o"}}]')
    await page.get_by_role("button", name="Create").click()
    secret = await page.locator("#secret").text_content()

    house.endpoint.answers["/hook"] = lambda count, _: status(200 if count == 1 else 503)
    await page.get_by_role("button", name="Send a test").press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("A test is on its way")
    await house.orders.publish(OrderConfirmed(order_id="o1", lines=(LINE,), total=LINE.price, visitor_id="v"))

    async def noted():
        return len([one async for one in house.orders.read(DeliveryAttempted)]) == 2

    await eventually(noted)
    await page.reload()
    await expect(page.get_by_role("row").filter(has_text="order.confirmed.v1")).to_contain_text("Failed")
    await expect(page.get_by_role("row").filter(has_text="webhook.test.v1")).to_contain_text("Delivered")
    await expect(page.locator("#secret")).to_have_count(0)
    await look(page, "webhook")
    await page.get_by_role("link", name="All webhooks").click()
    await look(page, "list", SIZES[:1])

    assert all(Webhook(secret).verify(one.body, one.headers) for one in house.endpoint.of())
    assert [line for line in logged if "422" not in line] == []
