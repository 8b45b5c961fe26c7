"""The steps of a journey in real Chromium: built by keyboard alone, drawn beside, and usable by everybody."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartAbandoned
from mesh.events.offer import OfferClicked, OfferSent
from mesh.runtime.run import running
from notifications.documents.publishing import publish
from notifications.documents.seeding import seed
from notifications.journeys.kind import FILE, JOURNEYS, journey_of
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from tests.approved_offer import LINE, approved_offer
from tests.pages import SIZES, examine, sign_in

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]


@dataclass
class House:
    """A studio that somebody is signed in to."""

    url: str
    mesh: Mesh


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
        run = await stack.enter_async_context(running(studio, Mesh(brokers[1], "studio"), http=("127.0.0.1", 0)))
        yield House(f"http://127.0.0.1:{run.port}", mesh)


@pytest_asyncio.fixture(loop_scope="session")
async def page(house, visit):
    """A publisher's page."""
    page = await visit()
    await sign_in(page, house.mesh, house.url, "publisher")
    return page


async def test_steps_are_built_by_keyboard_alone(house, page):
    """Added, named, moved, tested and published with Tab, Enter and letters; the picture follows what is saved."""
    shipped = await house.mesh.state(JOURNEYS.bucket).get("abandoned-cart")
    await publish(JOURNEYS, "keys", shipped.files, "seed", house.mesh)
    await page.goto(f"{house.url}/journeys/keys")
    await page.get_by_role("button", name="Add a step").press("Enter")
    name = page.get_by_role("textbox", name="Name", exact=True)
    await expect(name.nth(1)).to_be_focused()
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.type("reminder")
    await expect(page.locator("#saved")).to_contain_text("Draft saved")
    await page.get_by_role("button", name="Move up: step 2").press("Enter")
    await expect(name.nth(0)).to_be_focused()
    await expect(name.nth(0)).to_have_value("reminder")
    await page.get_by_role("button", name="Test variants: step 1").press("Enter")
    await expect(page.locator("#alike-0")).to_contain_text("a and b are the same so far")
    discount = page.get_by_role("listitem", name="Variant a").get_by_label("Discount", exact=True)
    await discount.focus()
    await page.keyboard.type("a dis")
    await page.get_by_label("Discount of variant 1 of step 1 in percent").fill("15")
    await expect(page.locator("#alike-0")).not_to_contain_text("are the same")
    await expect(page.locator("#picture")).to_contain_text("15 % off")
    await expect(page.get_by_label("Shoppers of each variant, at least")).to_be_hidden()
    await page.get_by_label("Choose the winner automatically").select_option("margin")
    await page.get_by_label("Shoppers of each variant, at least").fill("800")
    await page.get_by_role("button", name="Remove: step 2").press("Enter")
    await expect(name).to_have_count(1)
    await page.get_by_role("button", name="Compare and publish").press("Enter")
    await page.get_by_label("Runs under way keep the revision that they have").press("Space")
    await page.get_by_role("button", name="Publish in every region").press("Enter")
    await expect(page.get_by_role("status").first).to_contain_text("Revision 2 is published")
    await page.get_by_role("link", name="See how the test goes").click()
    await expect(page.get_by_role("region", name="Tests that run now")).to_contain_text(
        "keys, reminder: a against b, 0 of 800 shoppers each, started"
    )

    document = await house.mesh.state(JOURNEYS.bucket).get("keys")
    [step] = journey_of(document).steps
    assert (step.name, step.after) == ("reminder", timedelta(days=1))
    assert (step.choose_winner, step.winner_size) == ("margin", 800)
    assert [(one.name, one.share, one.discount_percent) for one in step.variants] == [("a", 50, 15), ("b", 50, None)]
    assert document.runs_from == 1


async def test_everybody_can_use_the_steps_and_their_results(house, page, eventually):
    """axe-core finds nothing in form, comparison and overview; nothing is cut off."""
    text = (await house.mesh.state(JOURNEYS.bucket).get("abandoned-cart")).files[FILE]
    steps = """
[[steps]]
name = "greeting"
[[steps]]
name = "reminder"
after = "1d"
when = "not clicked greeting"
[[steps.variants]]
name = "plain"
share = 70
discount_percent = 0
[[steps.variants]]
name = "bold"
share = 30
after = "2d"
"""
    await publish(JOURNEYS, "abandoned-cart", {FILE: text + steps}, "Ada", house.mesh)
    for at in range(5):
        more = (
            {"step": "reminder", "position": 2, "variant": "bold" if at % 2 else "plain"}
            if at
            else {"step": "greeting"}
        )
        offer = approved_offer(at, **more)
        left = CartAbandoned(
            cart_id=offer.cart_id,
            visitor_id=offer.visitor_id,
            lines=(LINE,),
            total=LINE.price,
            left_at=offer.due,
            due=offer.due,
        )
        about = {"cart_id": offer.cart_id, "visitor_id": offer.visitor_id, "offer_id": offer.offer_id}
        await house.mesh.publish(left, offer, OfferSent(**about, channel="email"))
        if at == 1:
            await house.mesh.publish(OfferClicked(**about, channel="email"))

    async def counted():
        await page.goto(f"{house.url}/overview")
        return await page.get_by_role("row", name="reminder bold").count()

    await eventually(counted)
    await expect(page.get_by_role("row", name="reminder bold")).to_contain_text("50.0 %")
    await examine(page, "overview", SIZES[1:], height=6000)
    await page.goto(f"{house.url}/decisions/c1")
    await expect(
        page.get_by_role("heading", name="Approved by abandoned-cart, step reminder, variant bold").first
    ).to_be_visible()
    await page.goto(f"{house.url}/journeys/abandoned-cart")
    await examine(page, "form", height=6000)
    await page.get_by_role("button", name="Remove: variant 2 of step 2").press("Enter")
    await page.get_by_role("link", name="Compare and publish").press("Enter")
    await expect(page.get_by_role("row", name="Step reminder")).to_be_visible()
