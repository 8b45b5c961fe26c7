"""The audience of a journey as marketers build it: real Chromium, with and without JavaScript, by keyboard."""

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio
from msgspec.structs import replace
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import running
from notifications.conditions.words import sentence_of
from notifications.documents.drafts import read_draft
from notifications.documents.publishing import publish
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS, journey_of
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from tests.journey_form import unfold
from tests.pages import examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
WAITING = "document.getElementById('journey')['htmx-internal-data'].queuedRequests?.length > 1"
"""Whether two requests of the form wait for the one under way."""


@dataclass
class House:
    """The studio of a region."""

    url: str
    mesh: Mesh

    async def open(self, context, name, journey, role="publisher"):
        """A browser on the form of a new journey, signed in with a new account."""
        state = self.mesh.state(JOURNEYS.bucket)
        if await state.get(journey) is None:
            await publish(JOURNEYS, journey, (await state.get("abandoned-cart")).files, "seed", self.mesh)
        page = await context.new_page()
        await sign_in(page, self.mesh, self.url, role, name)
        await page.goto(f"{self.url}/journeys/{journey}")
        return page

    async def audience(self, name):
        """The audience of a journey's draft, in words."""
        draft, _ = await read_draft(JOURNEYS, name, self.mesh)
        in_force = await self.mesh.state(JOURNEYS.bucket).get("abandoned-cart")
        return sentence_of(journey_of(replace(in_force, name=name, files=draft.files)).audience) if draft else None


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house():
    regions = MemoryMesh("us")
    async with AsyncExitStack() as stack:
        brokers = [regions.broker("us"), regions.broker("us")]
        for broker in brokers:
            stack.push_async_callback(broker.drain)
        mesh = Mesh(brokers[0], "tests")
        for kind in (TEMPLATES, JOURNEYS):
            await seed(kind, "", mesh)
        run = running(studio, Mesh(brokers[1], "studio"), http=("127.0.0.1", 0))
        port = (await stack.enter_async_context(run)).port
        yield House(f"http://127.0.0.1:{port}", mesh)


async def _add(page, field, group=""):
    suffix = " of this group" if group else ""
    await page.get_by_label(f"What the new condition{suffix} is about").select_option(label=field)
    await page.get_by_role("button", name=f"Add condition{' to this group' if group else ''}", exact=True).click()
    await expect(page.locator(".condition", has_text=field).locator("[name='audience.is']")).to_be_visible()


async def test_a_marketer_builds_an_audience_that_saves_itself(house, chromium):
    """Conditions, a group of alternatives, a mistake that is said in place; publishing shows it in words."""
    context = await chromium.new_context()
    page = await house.open(context, "Ada", "first")

    await _add(page, "Cart value")
    await expect(page.get_by_label("Cart value: value")).to_be_focused()
    await page.keyboard.type("50")
    await expect(page.locator("#wrong-audience")).to_contain_text("amount '50': write it like 50 EUR")
    await page.keyboard.type(" EUR, 55 usd")
    await expect(page.locator("#wrong-audience")).to_be_hidden()
    await expect(page.locator("#audience-sentence")).to_have_text("Only where cart value is at least 50 EUR or 55 USD.")

    await page.get_by_role("button", name="Add group", exact=True).dblclick()
    await expect(page.get_by_label("How the conditions of this group count")).to_be_focused()
    await _add(page, "Has bought before", group="group")
    await page.get_by_label("Has bought before: comparison").select_option("no")
    await _add(page, "Days since the last purchase", group="group")
    await page.get_by_label("Days since the last purchase: value").fill("90")
    await expect(page.locator("#audience-sentence")).to_contain_text(
        "and (the shopper has never bought before or days since the last purchase is at least 90 days)."
    )
    await expect(page.locator("#saved")).to_contain_text("by Ada.")
    await expect(page.locator("#sentence")).to_contain_text("Only where cart value is at least 50 EUR or 55 USD")

    await page.get_by_role("button", name="Compare and publish").click()
    await expect(page.get_by_role("row", name="Only for carts that meet")).to_contain_text("every cart")
    await expect(page.get_by_role("row", name="Only for carts that meet")).to_contain_text("never bought before")
    await page.get_by_role("button", name="Publish in every region").click()
    await expect(page.get_by_role("status").first).to_contain_text("is published")
    await page.get_by_role("button", name="Remove group").click()
    await expect(page.get_by_label("What the new condition is about")).to_be_focused()
    await expect(page.locator("#audience-sentence")).to_have_text("Only where cart value is at least 50 EUR or 55 USD.")
    assert await house.audience("first") == "cart value is at least 50 EUR or 55 USD"
    await context.close()


async def test_a_button_that_is_pressed_during_a_save_is_not_lost(house, chromium, eventually):
    """While the console is slow, what is typed and pressed meanwhile waits for it, in order."""
    context, go, asked = await chromium.new_context(), asyncio.Event(), asyncio.Event()
    page = await house.open(context, "Fay", "fifth")

    async def slowly(route):
        asked.set()
        await go.wait()
        await route.continue_()

    await page.route("**/draft", slowly)
    await page.get_by_label("Priority").fill("3")
    await asked.wait()
    await page.get_by_label("What the new condition is about").select_option(label="Has bought before")
    await page.get_by_role("button", name="Add condition", exact=True).click()
    await unfold(page)
    await page.get_by_label("Offers to one shopper").fill("6")
    await page.get_by_label("Priority").focus()
    await eventually(lambda: page.evaluate(WAITING))
    async with page.expect_request(lambda one: "edit=add" in (one.post_data or "")):
        go.set()

    await expect(page.locator("#audience-sentence")).to_have_text("Only where the shopper has bought before.")
    await expect(page.locator("#saved")).to_contain_text("by Fay.")
    assert await house.audience("fifth") == "the shopper has bought before"
    await context.close()


async def test_it_is_built_without_javascript(house, chromium):
    """Every button sends the form and shows it again, with what was typed."""
    context = await chromium.new_context(java_script_enabled=False)
    page = await house.open(context, "Bea", "second")

    await unfold(page)
    await page.get_by_label("Offers to one shopper").fill("7")
    await _add(page, "Language")
    await expect(page.get_by_text("Not saved yet")).to_be_visible()
    await expect(page.get_by_label("Offers to one shopper")).to_have_value("7")
    await page.get_by_label("Language: value").fill("de, fr")
    await page.get_by_role("button", name="Save", exact=True).click()
    await page.get_by_role("button", name="Add group", exact=True).click()
    await _add(page, "Brands in the cart", group="group")
    await page.get_by_label("Brands in the cart: value").fill('"Dolce, Gabbana", Acme')
    await page.get_by_label("Brands in the cart: value").press("Enter")
    words = await house.audience("second")
    await page.get_by_role("button", name="Remove: Language").click()

    assert words == "language is one of de or fr and brands in the cart include one of Dolce, Gabbana or Acme"
    assert await house.audience("second") == "brands in the cart include one of Dolce, Gabbana or Acme"
    await context.close()


async def test_a_condition_that_comes_second_is_not_lost(house, chromium):
    """Who adds one over somebody else's draft sees both, with the row still there, and keeps it on top of theirs."""
    context, other = await chromium.new_context(), await chromium.new_context()
    ada = await house.open(context, "Dora", "fourth")
    grace = await house.open(other, "Eva", "fourth")
    await unfold(ada)
    await ada.get_by_label("Offers to one shopper").fill("5")
    await expect(ada.locator("#saved")).to_contain_text("by Dora.")

    await _add(grace, "Is a known customer")
    await expect(grace.locator("#conflict")).to_contain_text("Dora saved this draft at")
    await expect(grace.get_by_role("row", name="Only for carts that meet")).to_contain_text("is a known customer")
    await expect(grace.get_by_label("Is a known customer: comparison")).to_be_visible()
    await grace.get_by_role("button", name="Keep my changes on top of theirs").click()
    await expect(grace.locator("#saved")).to_contain_text("by Eva.")

    await expect(grace.get_by_label("Offers to one shopper")).to_have_value("5")
    assert await house.audience("fourth") == "the shopper is a known customer"
    await context.close()
    await other.close()


async def test_everyone_can_build_one(house, chromium):
    """By keyboard alone; axe-core finds nothing, wide and light, narrow and dark; nothing is cut off or logged."""
    context, logged = await chromium.new_context(), []
    page = await house.open(context, "Cleo", "third")
    listen(page, logged)

    await page.get_by_label("What the new condition is about").focus()
    await page.keyboard.type("Probab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Probability of buying without an offer: value")).to_be_focused()
    await page.keyboard.type("30")
    await expect(page.locator("#audience-sentence")).to_contain_text("an offer is at least 30 %.")
    await page.get_by_role("button", name="Add group", exact=True).click()
    await _add(page, "Categories in the cart", group="group")
    await page.get_by_label("Categories in the cart: value").fill("furniture")
    await _add(page, "What the best offer adds to it", group="group")
    await page.get_by_label("What the best offer adds to it: value").fill("5")
    await expect(page.locator("#saved")).to_have_text(re.compile("Draft saved"))
    await page.get_by_text("What the conditions look at").click()
    await page.get_by_label("Categories in the cart: value").fill("")
    await expect(page.locator("#wrong-audience")).to_contain_text("write one or several")
    await examine(page, height=6000)

    assert [line for line in logged if "422" not in line] == []
    await context.close()
