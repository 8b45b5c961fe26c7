"""The block editor as marketers use it: real Chromium, the real studio on a mesh in memory."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import running
from notifications.blocks.block import decode, each
from notifications.documents.drafts import read_draft
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from tests.pages import examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass
class House:
    """The studio of a region."""

    url: str
    mesh: Mesh

    async def enter(self, page, name, role="marketer"):
        """Be somebody who is signed in."""
        await sign_in(page, self.mesh, self.url, role, name)

    async def begin(self, page, name, start):
        """Create a template from the list."""
        await page.goto(f"{self.url}/templates")
        await page.get_by_label("Name").fill(name)
        await page.get_by_label("Begin with").select_option(start)
        await page.get_by_role("button", name="Create template").click()
        await expect(page.get_by_role("heading", name="Blocks")).to_be_visible()

    async def ids(self, name):
        """The ids of the draft's blocks in their order."""
        draft, _ = await read_draft(TEMPLATES, name, self.mesh)
        return tuple(one.id for one in each(decode(draft.files["en.blocks.json"], "")))


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
async def test_a_mail_is_built_from_nothing_with_the_mouse(house, visit, eventually):
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
    await eventually(lambda: _are(house, "with-the-mouse", ("b2", "b1", "b3")))
    await page.goto(f"{house.url}/templates/with-the-mouse")
    await expect(page.get_by_role("group", name="1. Button")).to_be_visible()
    await expect(page.locator("[id='text-b1.text']")).to_have_value("<b>Big</b> sale, {{ customer.name }}")


@pytest.mark.timeout(300)
async def test_a_mail_is_built_from_nothing_with_the_keyboard(house, visit, eventually):
    """No mouse: focus goes on to what was added, and stays on the button that moves a block; then it is published."""
    page = await visit()
    await house.enter(page, "Bea", "publisher")
    await house.begin(page, "by-keyboard", "Blocks: empty")
    mail = page.frame_locator("#mail")

    async def add(kind):
        await page.locator("#add-type").focus()
        await page.keyboard.type(kind)
        await page.locator("#add-block").focus()
        await page.keyboard.press("Enter")

    await add("Foot")
    await expect(page.locator("[id='text-b1.text']")).to_be_focused()
    await add("Heading")
    await expect(page.locator("[id='text-b2.text']")).to_be_focused()
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.type("Written by keyboard")
    await expect(mail.get_by_text("Written by keyboard")).to_be_visible()
    await page.locator("#up-b2").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("group", name="1. Heading “Written by keyboard”")).to_be_visible()
    await expect(page.locator("#up-b2")).to_be_focused()
    await expect(page.locator("#block-said")).to_have_text("Moved: now 1. Heading “Written by keyboard”")
    await eventually(lambda: _are(house, "by-keyboard", ("b2", "b1")))

    await page.get_by_role("button", name="Review and publish").press("Enter")
    await expect(page.locator(".sentences")).to_contain_text("Added as 1: Heading “Written by keyboard”.")
    await page.get_by_role("button", name="Publish").press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Published.")


@pytest.mark.drill
@pytest.mark.timeout(300)
async def test_a_block_is_dragged(house, visit, eventually):
    """Within the list, and into a column; the draft has it there."""
    page = await visit()
    await page.set_viewport_size({"width": 1280, "height": 2400})  # nothing scrolls while it is dragged
    await house.enter(page, "Cleo")
    await house.begin(page, "dragged", "Blocks: empty")
    for kind in ("Columns", "Heading", "Button"):
        await page.get_by_label("Block", exact=True).select_option(kind)
        await page.get_by_role("button", name="Add block").click()
        await expect(page.get_by_role("group", name=kind).last).to_be_visible()

    await _drag(page, "[data-id=b5]", "[data-id=b4]", "[data-id=b5] + [data-id=b4]")
    await expect(page.get_by_role("group", name="2. Button")).to_be_visible()
    await _drag(page, "[data-id=b5]", "[data-id=b3]", "[data-id=b5] + [data-id=b3]")

    await expect(page.get_by_role("group", name="1.2.1. Button")).to_be_visible()
    await eventually(lambda: _are(house, "dragged", ("b1", "b2", "b5", "b3", "b4")))


async def _are(house, name, ids):
    return await house.ids(name) == ids


async def _drag(page, what, where, there):
    """Drag a block by its handle to the upper part of another, until it stands `there`, and let it go.

    What moves out of the way is moved back where the pointer still meets it: so it must stand there at rest, too.
    """
    handle, target = page.locator(f"{what} .handle").first, page.locator(where)
    await handle.hover()
    await page.mouse.down()
    held = 0
    async with asyncio.timeout(60):
        for step in count():
            box = await target.bounding_box()
            if not held:
                await page.mouse.move(box["x"] + 40 + step % 3, box["y"] + 6 + step % 2)
            at_rest = not await page.evaluate("document.getAnimations().length")
            held = held + at_rest if await page.locator(there).count() else 0
            if held >= 3:
                break
    await page.mouse.up()


@pytest.mark.timeout(300)
async def test_a_list_that_cannot_be_changed_stays(house, visit):
    """Nothing can be typed while a change is on its way; where it fails what was typed is there, and that is said."""
    page = await visit()
    await house.enter(page, "Fay")
    await house.begin(page, "stays", "Blocks: an offer")
    come, go_on = asyncio.Event(), asyncio.Event()

    async def refuse(route):
        come.set()
        await go_on.wait()
        await route.fulfill(status=422, body="no")

    await page.route("**/stays/blocks", refuse)
    await page.locator("[id='text-b2.text']").fill("Typed")
    await page.locator("#up-b3").click()
    await asyncio.wait_for(come.wait(), 60)
    assert await page.locator("#blocks").evaluate("list => list.inert")
    go_on.set()

    await expect(page.locator("#saved").get_by_role("status")).to_contain_text("the studio could not do that")
    await expect(page.locator("[id='text-b2.text']")).to_have_value("Typed")
    assert not await page.locator("#blocks").evaluate("list => list.inert")


@pytest.mark.timeout(300)
async def test_the_brand_is_seen_while_it_is_chosen(house, visit):
    """The mail beside it has the colours; the list says which templates have the block."""
    page = await visit()
    await house.enter(page, "Eve", "publisher")
    await page.goto(f"{house.url}/blocks")
    await expect(page.get_by_text("There is none yet.")).to_be_visible()
    await page.get_by_label("Begin with").select_option("The brand: colours and font")
    await page.get_by_role("button", name="Create block").click()
    await page.get_by_label("Buttons", exact=True).fill("#0055aa")
    button = page.frame_locator("#mail").get_by_role("link", name="To the shop")
    await expect(button).to_have_css("background-color", "rgb(0, 85, 170)")
    await expect(page.locator("[data-saved]")).to_contain_text("Saved")
    await examine(page, "the brand")
    await page.get_by_role("button", name="Review and publish").click()
    await page.get_by_role("button", name="Publish").click()
    await expect(page.get_by_role("status")).to_contain_text("Published.")
    await page.goto(f"{house.url}/blocks")
    await expect(page.get_by_role("row", name="brand")).to_contain_text("Revision 1")
    await examine(page, "the shared blocks")


@pytest.mark.timeout(300)
async def test_everyone_can_use_it(house, visit):
    """axe-core finds nothing, wide and light, narrow and dark; nothing is cut off and nothing is blocked."""
    page, logged = await visit(), []
    listen(page, logged)
    await house.enter(page, "Dora")
    await house.begin(page, "for-everyone", "Blocks: an offer")
    await page.get_by_label("Block", exact=True).select_option("Columns")
    await page.get_by_label("Place").select_option("above 6. Button “Return to my cart”")
    await page.get_by_role("button", name="Add block").click()
    await expect(page.get_by_role("group", name="6. Columns")).to_be_visible()
    await expect(page.frame_locator("#mail").get_by_text("Left", exact=True)).to_be_visible()
    await examine(page, "the editor")

    assert logged == []
