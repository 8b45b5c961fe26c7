"""The webhooks' pages as people see them: real Chromium, and a partner's endpoint that answers."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import expect
from standardwebhooks import Webhook

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartLine
from mesh.events.delivery import DeliveryAttempted
from mesh.events.order import OrderConfirmed
from mesh.runtime.run import running
from services import console
from services.webhooks import service as webhooks
from tests.pages import SIZES, examine, listen, sign_in
from tests.partner_endpoint import Endpoint, opened_endpoint, status

pytestmark = pytest.mark.asyncio(loop_scope="session")
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


async def enter_broker(page):
    """A webhook to RabbitMQ, whose password is on no page."""
    await page.get_by_role("link", name="New webhook").click()
    await page.get_by_label("Name", exact=True).fill("Accounting")
    await page.get_by_label("RabbitMQ").check()
    await page.get_by_label("Address", exact=True).fill("amqp://127.0.0.1:1/books")
    await page.get_by_text("For a broker: where within it").click()
    await page.get_by_label("User or access key id").fill("mesh")
    await page.get_by_label("Password or secret access key").fill("word-of-the-broker")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("alert")).to_contain_text("an exchange, or without one the name of a queue")
    await page.get_by_label("Exchange, topic or ARN").fill("shop")
    await page.get_by_label("Password or secret access key").fill("word-of-the-broker")
    await examine(page, "broker-form")
    await page.get_by_role("button", name="Create").click()
    await expect(page.locator("dl")).to_contain_text("Exchange")
    await page.get_by_role("link", name="Change").click()
    await expect(page.get_by_label("RabbitMQ")).to_be_checked()
    await expect(page.get_by_text("One is stored; leave this empty to keep it.")).to_be_visible()
    assert "word-of-the-broker" not in await page.content()


@pytest.mark.timeout(600)
async def test_a_publisher_connects_a_partner_and_looks_at_what_was_sent(house, visit, eventually):
    """From the empty page to the log, with keyboard and without errors in the browser's console."""
    logged = []
    page = await visit()
    listen(page, logged)
    await sign_in(page, house.console, house.url, "publisher")
    await page.goto(f"{house.url}/console")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Webhooks").click()
    await expect(page.get_by_role("heading", name="No partner gets anything yet")).to_be_visible()
    await examine(page, "empty", SIZES[1:])

    await page.get_by_role("link", name="Create the first webhook").press("Enter")
    await page.get_by_label("Name", exact=True).fill("Warehouse")
    await page.get_by_label("Address", exact=True).fill(house.endpoint.url())
    await page.get_by_label("order.confirmed.v1").press("Space")
    await page.get_by_text("Only some of them: filters").click()
    await page.get_by_label("Filters", exact=True).fill('[{"sql": "x"}]')
    await examine(page, "form")
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
    await examine(page, "webhook")
    await page.get_by_role("link", name="All webhooks").click()
    await examine(page, "list", SIZES[:1])
    await enter_broker(page)

    assert all(Webhook(secret).verify(one.body, one.headers) for one in house.endpoint.of())
    assert [line for line in logged if "422" not in line] == []
