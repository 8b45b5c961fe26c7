"""The console's pages as people see them: real Chromium, the real services on a mesh in memory."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import running
from mesh.web.invitations import Invitations
from services import console
from services.operations import board

pytestmark = pytest.mark.asyncio(loop_scope="module")
PASSWORD = "correct horse battery staple"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
WIDTHS = (1280, 390)
PAGES = ("/console", "/console/account", "/console/accounts", "/console/audit", "/board")


@dataclass
class House:
    """A region's console, with the board behind it."""

    url: str
    mesh: Mesh

    async def join(self, page, name, role="admin"):
        """Create an account by an invitation's link, as people do; they are signed in then."""
        token = await Invitations(self.mesh).create(roles=(role,))
        await page.goto(f"{self.url}/console/join/{token}")
        await page.get_by_label("Your name").fill(name)
        await page.get_by_label("E-mail address").fill(f"{name.lower()}@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Create account").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Console")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house():
    regions, patch = MemoryMesh("us"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        meshes = {}
        for name in ("board", "console"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, name)
        of_board = await stack.enter_async_context(running(board.service, meshes["board"], http=("127.0.0.1", 0)))
        patch.setenv("CARTMESH_URL_BOARD", f"http://127.0.0.1:{of_board.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        yield House(f"http://127.0.0.1:{run.port}", meshes["console"])


async def test_one_sign_in_opens_every_page(house, visit):
    """The board is asked for, the sign-in comes, and behind it the board with the navigation; it is live."""
    page = await visit()
    await house.join(page, "Ada")
    await page.get_by_role("button", name="Sign out").click()

    await page.goto(f"{house.url}/board")
    await page.get_by_label("E-mail address").fill("ada@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", level=1)).to_have_text("Live")
    await expect(page.get_by_role("link", name="Live")).to_have_attribute("aria-current", "page")
    await expect(page.locator("#connection")).to_have_text("Live")
    assert page.url == f"{house.url}/board"
    assert (await page.locator("header.top").bounding_box())["height"] >= 40


async def test_a_session_that_was_ended_leads_back_to_the_sign_in(house, visit):
    """Also from a board that is open: it does not go on trying for ever."""
    page, other = await visit(), await visit()
    await house.join(page, "Bea")
    await page.goto(f"{house.url}/board")
    await expect(page.locator("#connection")).to_have_text("Live")

    await other.goto(f"{house.url}/console/sign-in")
    await other.get_by_label("E-mail address").fill("bea@example.com")
    await other.get_by_label("Password").fill(PASSWORD)
    await other.get_by_role("button", name="Sign in").click()
    await other.goto(f"{house.url}/console/account")
    await other.get_by_role("button", name="End every other session").click()
    await expect(other.get_by_role("status")).to_contain_text("Every other session has ended")

    await page.wait_for_url("**/console/sign-in?next=**")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everyone_can_use_it(house, visit, scheme, tmp_path):
    """axe-core finds nothing on any page, wide or narrow; nothing is cut off; the console is silent."""
    said = []
    page = await visit(color_scheme=scheme)
    page.on("console", lambda line: said.append(line.text))
    await page.goto(f"{house.url}/console/sign-in")
    await _judge(page, tmp_path, scheme)
    await house.join(page, f"Cleo-{scheme}")
    await house.join(await visit(), f"Dora-{scheme}", "marketer")
    for path in PAGES:
        await page.goto(house.url + path)
        await _judge(page, tmp_path, scheme)

    assert said == []


async def _judge(page, folder, scheme):
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        found = (await Axe().run(page, options=RULES)).response["violations"]
        name = page.url.rpartition("/")[2].partition("?")[0]
        await page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)
        assert [(name, rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []
        assert await page.evaluate("document.documentElement.scrollWidth") == width
