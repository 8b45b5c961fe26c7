"""The block editor as marketers use it: real Chromium, the real studio on a mesh in memory."""

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import running
from mesh.web.accounts import ACCOUNTS, Account
from mesh.web.sessions import Sessions
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES

pytestmark = pytest.mark.asyncio(loop_scope="session")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SIZES = (("light", 1280), ("dark", 390))


@dataclass
class House:
    """The studio of a region."""

    url: str
    mesh: Mesh

    async def enter(self, page, name, role="marketer"):
        """Be somebody who is signed in."""
        account = Account(
            id=name.lower(), email=f"{name.lower()}@example.com", name=name, roles=(role,), created=datetime.now(UTC)
        )
        await self.mesh.state(ACCOUNTS).put(account.id, account)
        token = await Sessions(self.mesh).begin(account.id, agent="test", lasting=timedelta(hours=1))
        await page.context.add_cookies([{"name": "cartmesh-us-session", "value": token, "url": self.url}])

    async def begin(self, page, name, start):
        """Create a template from the list."""
        await page.goto(f"{self.url}/templates")
        await page.get_by_label("Name").fill(name)
        await page.get_by_label("Begin with").select_option(start)
        await page.get_by_role("button", name="Create template").click()
        await expect(page.get_by_role("heading", name="Blocks")).to_be_visible()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house():
    regions = MemoryMesh("us")
    async with AsyncExitStack() as stack:

        def mesh(name):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            return Mesh(broker, name)

        for kind in (TEMPLATES, JOURNEYS):
            await seed(kind, "", mesh("offers"))
        run = await stack.enter_async_context(running(studio, mesh("studio"), http=("127.0.0.1", 0)))
        yield House(f"http://127.0.0.1:{run.port}", mesh("tests"))


@pytest.mark.timeout(300)
async def test_a_mail_is_built_from_nothing_with_the_mouse(house, visit):
    """Blocks are added and written; the preview shows each; what is wrong names its block and leads to its field."""
    page = await visit()
    await house.enter(page, "Ada")
    await house.begin(page, "with-the-mouse", "Blocks: empty")
    mail, found = page.frame_locator("#mail"), page.locator(".findings")

    for kind in ("Heading", "Button", "Foot of the page"):
        await page.get_by_label("Block", exact=True).select_option(kind)
        await page.get_by_role("button", name="Add block").click()
        await expect(page.get_by_role("group", name=kind).last).to_be_visible()
    await page.locator("[id='text-b1.text']").fill("<b>Big</b> sale, {{ custmer.name }}")
    await expect(found).to_contain_text("1. Heading, words, line 1")
    await expect(found).to_contain_text("Did you mean customer?")
    await page.locator("[id='text-b1.text']").fill("<b>Big</b> sale, {{ customer.name }}")
    await expect(mail.get_by_text("<b>Big</b> sale, Ada")).to_be_visible()

    await page.locator("[id='text-b2.href']").fill("javascript:alert(1)")
    await expect(found).to_contain_text("leads nowhere")
    await found.get_by_role("link", name="2. Button, link").click()
    await expect(page.locator("[id='text-b2.href']")).to_be_focused()
    await page.locator("[id='text-b2.href']").fill("{{ cart_url }}")
    await expect(found).to_contain_text("No problems found")
    await expect(mail.get_by_role("link", name="No more e-mails like this")).to_be_visible()

    await page.get_by_role("button", name="Move up: 2. Button").click()
    await expect(page.get_by_role("group", name="1. Button")).to_be_visible()
    await expect(page.locator("[data-saved]")).to_contain_text("Saved")
    await page.reload()
    await expect(page.get_by_role("group", name="1. Button")).to_be_visible()
    await expect(page.locator("[id='text-b1.text']")).to_have_value("<b>Big</b> sale, {{ customer.name }}")


@pytest.mark.timeout(300)
async def test_everyone_can_use_it(house, visit):
    """axe-core finds nothing, wide and light, narrow and dark; nothing is cut off and nothing is blocked."""
    page, logged = await visit(), []
    page.on("console", lambda line: logged.append(line.text))
    await house.enter(page, "Dora")
    await house.begin(page, "for-everyone", "Blocks: an offer")
    await page.get_by_label("Block", exact=True).select_option("Columns")
    await page.get_by_label("Place").select_option("above 6. Button “Return to my cart”")
    await page.get_by_role("button", name="Add block").click()
    await expect(page.get_by_role("group", name="6. Columns")).to_be_visible()
    await expect(page.frame_locator("#mail").get_by_text("Left", exact=True)).to_be_visible()
    await _examine(page, "the editor")

    assert logged == []


async def _examine(page, path):
    for scheme, width in SIZES:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": 900})
        if os.environ.get("SHOTS"):
            await page.screenshot(path=f"/tmp/shots-{path.replace(' ', '-')}-{scheme}.png", full_page=True)
        found = (await Axe().run(page, options=RULES)).response["violations"]
        assert [(path, rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []
        assert await page.evaluate("document.documentElement.scrollWidth") == width
