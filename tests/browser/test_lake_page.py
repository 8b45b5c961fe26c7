"""The lake's pages as people see them: real Chromium, tables in a folder."""

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.interaction import ProductViewed
from mesh.runtime.run import running
from mesh.web.invitations import Invitations
from services import console
from services.lake import service as lake

pytestmark = pytest.mark.asyncio(loop_scope="session")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
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


async def look(page, name):
    """Nothing is wrong for people with other senses, and nothing is wider than the window: light and dark."""
    for scheme, width in (("light", 1280), ("dark", 390)):
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": 900})
        found = (await Axe().run(page, options=RULES)).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == [], name
        assert await page.evaluate("document.documentElement.scrollWidth") == width, name
        if folder := os.environ.get("CARTMESH_SCREENSHOTS"):
            await page.screenshot(path=Path(folder) / f"{name}-{scheme}.png", full_page=True)
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.timeout(300)
async def test_a_viewer_looks_into_the_lake(house, visit):
    """From the empty tables to what is in one of them; nothing is logged by the browser."""
    logged = []
    page = await visit()
    page.on("console", lambda line: logged.append(line.text))
    token = await Invitations(house.console).create(roles=("viewer",))
    await page.goto(f"{house.url}/console/join/{token}")
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_label("E-mail address").fill("ada@example.com")
    await page.get_by_label("Password").fill("correct horse battery staple")
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Console")

    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Lake").click()
    await expect(page.get_by_role("row", name="interactions")).to_contain_text("none yet")
    await house.shop.publish(*(ProductViewed(visitor_id=f"v{at}", product_id="sku-1") for at in range(40)))
    await house.shop.publish(*(CartUpdated(cart_id=f"c{at}", visitor_id=f"v{at}", lines=(LINE,)) for at in range(9)))
    await house.shop.publish(CustomerIdentified(visitor_id="v1", email="anna@example.com"))

    async def reloaded(words):
        await page.reload()
        row = page.get_by_role("row", name="interactions")
        return words in await row.inner_text()

    await _until(lambda: reloaded("40"))
    await look(page, "lake")
    await page.get_by_role("link", name="interactions").click()
    await expect(page.get_by_role("row", name="interaction.product_viewed.v1")).to_contain_text("40")
    await look(page, "lake-table")

    assert logged == []


async def _until(question):
    while not await question():
        pass
