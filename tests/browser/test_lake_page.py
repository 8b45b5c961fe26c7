"""The lake's pages as people see them: real Chromium, tables in a folder."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.interaction import ProductViewed
from mesh.runtime.run import running
from services import console
from services.lake import service as lake
from tests.pages import examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
LINE = CartLine(product_id="sku-1", quantity=2, price=Money(amount=1299, currency="EUR"))


@dataclass
class House:
    """A region's console with the lake behind it, and who publishes."""

    url: str
    console: Mesh
    shop: Mesh


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory):
    regions, patch = MemoryMesh("us"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        for name, value in {"LAKE": tmp_path_factory.mktemp("lake"), "LAKE_EVERY": "50ms"}.items():
            patch.setenv(f"CARTMESH_{name}", str(value))
        meshes = {}
        for name in ("lake", "console", "shop"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, name)
        pages = await stack.enter_async_context(running(lake, meshes["lake"], http=("127.0.0.1", 0)))
        patch.setenv("CARTMESH_URL_LAKE", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        yield House(f"http://127.0.0.1:{run.port}", meshes["console"], meshes["shop"])


@pytest.mark.timeout(300)
async def test_a_viewer_looks_into_the_lake(house, visit):
    """From the empty tables to what is in one of them; nothing is logged by the browser."""
    logged = []
    page = await visit()
    listen(page, logged)
    await sign_in(page, house.console, house.url, "viewer")
    await page.goto(f"{house.url}/lake")
    await expect(page.get_by_role("row", name="interactions")).to_contain_text("none yet")
    await house.shop.publish(*(ProductViewed(visitor_id=f"v{at}", product_id="sku-1") for at in range(40)))
    await house.shop.publish(*(CartUpdated(cart_id=f"c{at}", visitor_id=f"v{at}", lines=(LINE,)) for at in range(9)))
    await house.shop.publish(CustomerIdentified(visitor_id="v1", email="anna@example.com"))

    async def reloaded(words):
        await page.reload()
        row = page.get_by_role("row", name="interactions")
        return words in await row.inner_text()

    await _until(lambda: reloaded("40"))
    await examine(page, "lake")
    await page.get_by_role("link", name="interactions").click()
    await expect(page.get_by_role("row", name="interaction.product_viewed.v1")).to_contain_text("40")
    await examine(page, "lake-table")

    assert logged == []


async def _until(question):
    while not await question():
        pass
