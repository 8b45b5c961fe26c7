"""The journeys' pages as marketers use them: real Chromium, the studio of two regions on a mesh in memory."""

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest
import pytest_asyncio
from msgspec.structs import replace
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import running
from notifications.documents.drafts import read_draft
from notifications.documents.publishing import publish
from notifications.documents.seeding import seed
from notifications.journeys.kind import FILE, JOURNEYS, journey_of
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from tests.journey_form import unfold
from tests.pages import examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
REGIONS = ("us", "eu")


@dataclass
class House:
    """The studio of the region us, beside that of eu."""

    url: str
    meshes: dict[str, Mesh]

    async def sign_in(self, page, name, role):
        """Let a browser be signed in with a new account."""
        await sign_in(page, self.meshes["us"], self.url, role, name)
        return page

    async def draft(self, name):
        """The journey of the open draft, or None."""
        draft, _ = await read_draft(JOURNEYS, name, self.meshes["us"])
        in_force = await self.in_force("abandoned-cart")
        return journey_of(replace(in_force, files=draft.files)) if draft else None

    async def in_force(self, name, region="us"):
        """The document in force in a region."""
        return await self.meshes[region].state(JOURNEYS.bucket).get(name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house():
    regions, meshes, ports = MemoryMesh(*REGIONS), {}, {}
    async with AsyncExitStack() as stack:
        for region in REGIONS:
            other = tuple(name for name in REGIONS if name != region)
            brokers = [regions.broker(region), regions.broker(region)]
            for broker in brokers:
                stack.push_async_callback(broker.drain)
            meshes[region] = Mesh(brokers[0], "tests", others=other)
            for kind in (TEMPLATES, JOURNEYS):
                await seed(kind, "", meshes[region])
            run = running(studio, Mesh(brokers[1], "studio", others=other), http=("127.0.0.1", 0))
            ports[region] = (await stack.enter_async_context(run)).port
        yield House(f"http://127.0.0.1:{ports['us']}", meshes)


@pytest.mark.timeout(600)
async def test_a_journey_is_made_published_and_put_back(house, visit, eventually):
    """From nothing: the form saves itself, a publisher publishes, both regions have it, and one press takes it back."""
    ada = await house.sign_in(await visit(), "Ada", "marketer")
    grace = await house.sign_in(await visit(), "Grace", "publisher")

    await ada.goto(f"{house.url}/journeys")
    await ada.get_by_label("Name").fill("Spring sale")
    await ada.get_by_label("Begin with").select_option("abandoned-cart")
    await ada.get_by_role("button", name="Create draft").click()
    await expect(ada.get_by_role("heading", level=1)).to_have_text("spring-sale")
    await unfold(ada)
    await ada.get_by_label("Offers to one shopper").fill("2")
    await ada.get_by_label("Smallest cart, amount").first.fill("20")
    await ada.get_by_label("Smallest cart, currency").first.fill("EUR")
    await ada.get_by_label("Smallest cart, amount").nth(1).fill("25")
    await ada.get_by_label("Smallest cart, currency").nth(1).fill("USD")
    await ada.get_by_label("on site").uncheck()
    await expect(ada.locator("#sentence")).to_have_text(
        re.compile("20 EUR or 25 USD.* left: e-mail, .* At most 2 offers")
    )
    await expect(ada.locator("#saved")).to_contain_text("by Ada.")
    await expect(ada.get_by_role("button", name="Publish in every region")).to_have_count(0)

    await grace.goto(f"{house.url}/journeys")
    await grace.get_by_role("link", name="spring-sale").click()
    await grace.get_by_role("link", name="Compare and publish").click()
    await expect(grace.get_by_role("row", name="Smallest cart")).to_contain_text("20 EUR, 25 USD")
    await grace.get_by_role("button", name="Publish in every region").click()
    await expect(grace.get_by_role("status").first).to_contain_text("Revision 1 is published")
    first = await house.in_force("spring-sale")
    await eventually(partial(_is_in_force, house, first, "eu"))

    await unfold(grace)
    await grace.get_by_label("Offers to one shopper").fill("9")
    await grace.get_by_role("button", name="Compare and publish").click()
    await expect(grace.get_by_role("row", name="Offers to one shopper")).to_contain_text("2 offers")
    await grace.get_by_role("button", name="Publish in every region").click()
    await expect(grace.get_by_role("status").first).to_contain_text("Revision 2 is published")
    second = await house.in_force("spring-sale")
    await eventually(partial(_is_in_force, house, second, "eu"))
    await grace.get_by_role("button", name="Undo: put revision 1 back").click()
    await expect(grace.get_by_role("status").first).to_contain_text("Revision 3 is published")
    third = await house.in_force("spring-sale")
    await eventually(partial(_is_in_force, house, third, "eu"))

    journeys = [journey_of(document) for document in (first, second, third)]
    assert [(one.cap, one.minimum_value, one.channels) for one in journeys] == [
        (2, ("20 EUR", "25 USD"), ("email",)),
        (9, ("20 EUR", "25 USD"), ("email",)),
        (2, ("20 EUR", "25 USD"), ("email",)),
    ]
    assert (first.author, third.files) == ("grace", first.files)


async def _is_in_force(house, document, region):
    found = await house.in_force(document.name, region)
    return found is not None and (found.revision, found.files) == (document.revision, document.files)


@pytest.mark.timeout(600)
async def test_what_is_wrong_and_who_was_quicker_is_shown_while_typing(house, visit, eventually):
    """Beside the field, without losing a letter; the draft of somebody else is merged by one press of a button."""
    shipped = await house.in_force("abandoned-cart")
    await publish(JOURNEYS, "autumn", shipped.files, "seed", house.meshes["us"])
    ada = await house.sign_in(await visit(), "Bea", "marketer")
    grace = await house.sign_in(await visit(), "Cleo", "marketer")
    await ada.goto(f"{house.url}/journeys/autumn")
    await grace.goto(f"{house.url}/journeys/autumn")

    await ada.get_by_label("Priority").fill("high")
    await expect(ada.locator("#wrong-priority")).to_have_text("write a whole number, such as 10")
    await expect(ada.get_by_label("Priority")).to_have_attribute("aria-invalid", "true")
    await expect(ada.locator("#saved")).to_contain_text("Not saved. Look at Priority")
    await expect(ada.get_by_label("Priority")).to_have_value("high")
    assert await house.draft("autumn") is None
    await ada.get_by_label("Priority").fill("7")
    await expect(ada.locator("#wrong-priority")).to_be_hidden()
    await expect(ada.locator("#saved")).to_contain_text("by Bea.")
    assert (await house.draft("autumn")).priority == 7

    await unfold(grace)
    await grace.get_by_label("Offers to one shopper").fill("5")
    await expect(grace.locator("#conflict")).to_contain_text("Bea saved this draft at")
    await expect(grace.get_by_role("row", name="Priority")).to_contain_text("7")
    await expect(grace.get_by_label("Offers to one shopper")).to_have_value("5")
    await grace.get_by_role("button", name="Keep my changes on top of theirs").click()
    await expect(grace.locator("#saved")).to_contain_text("by Cleo.")

    async def merged():
        draft = await house.draft("autumn")
        return (draft.priority, draft.cap) == (7, 5)

    assert await eventually(merged)
    await expect(grace.get_by_label("Priority")).to_have_value("7")


@pytest.mark.timeout(600)
async def test_everyone_can_use_them(house, visit):
    """axe-core finds nothing on any page, wide and light, narrow and dark; nothing is cut off or logged."""
    logged, mesh = [], house.meshes["us"]
    text = (await house.in_force("abandoned-cart")).files[FILE]
    for cap in (4, 5):
        await publish(JOURNEYS, "winter", {FILE: text.replace("cap = 3", f"cap = {cap}")}, "Dora", mesh)
    page = await house.sign_in(await visit(), "Dora", "publisher")
    listen(page, logged)
    await page.goto(f"{house.url}/journeys/winter")
    await unfold(page)
    await page.get_by_label("Offers to one shopper").fill("6")
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url("**/journeys/winter?done=saved")
    await examine(page, height=6000)
    for path in ("", "/winter/review", "/winter/text", "/winter/history"):
        await page.goto(f"{house.url}/journeys{path}")
        await examine(page, height=6000)
    await page.get_by_role("button", name="Put revision 1 back").click()
    await expect(page.get_by_text("was published since this draft was begun")).to_be_visible()
    await page.get_by_role("link", name="Compare", exact=True).click()
    await examine(page, height=6000)

    assert logged == []


@pytest.mark.timeout(300)
async def test_the_trigger_is_chosen_first_and_brings_its_own_settings(house, visit, eventually):
    """By keyboard: only what the chosen trigger has is shown, and what it has not is not kept."""
    ada = await house.sign_in(await visit(), "Ada", "marketer")
    await ada.goto(f"{house.url}/journeys")
    await ada.get_by_label("Name").fill("Cheaper now")
    await ada.get_by_label("Begin with").select_option(label="Price dropped")
    await ada.get_by_role("button", name="Create draft").click()

    trigger = ada.get_by_label("Starts when")
    await expect(trigger).to_have_value("price dropped")
    await expect(ada.get_by_label("Smallest fall of the price")).to_have_value("10")
    await expect(ada.get_by_label("Nothing followed for", exact=True)).to_be_hidden()
    await expect(ada.locator("#picture li").first).to_contain_text(
        "A product in a left cart costs less by 10 % at least"
    )

    await trigger.focus()
    await ada.keyboard.type("Browse")
    await expect(ada.get_by_label("Smallest fall of the price")).to_be_hidden()
    await ada.get_by_label("Nothing followed for", exact=True).fill("2")
    await ada.get_by_label("Unit of Nothing followed for").select_option("h")
    await expect(ada.locator("#sentence")).to_contain_text(
        "for 2 hours neither looked again nor filled a cart nor bought"
    )
    await expect(ada.locator("#saved")).to_contain_text("by Ada.")
    drafted = await house.draft("cheaper-now")
    wanted = ("browse abandoned", timedelta(hours=2), 0.0)
    assert (drafted.trigger, drafted.trigger_after, drafted.price_drop_percent) == wanted

    await ada.goto(f"{house.url}/journeys")
    await expect(ada.get_by_role("row", name="cheaper-now")).to_contain_text("Browse abandoned")
    await ada.goto(f"{house.url}/journeys/cheaper-now/rehearsal")
    await expect(ada.get_by_role("heading", name="Nothing of the last 7 days can be decided again")).to_be_visible()
