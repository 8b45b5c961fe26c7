"""A rehearsal as marketers see it: real Chromium, from a journey's page to what would differ."""

from contextlib import AsyncExitStack

import pytest
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import running
from notifications.decision_context import DecisionContext
from notifications.documents.drafts import save_draft
from notifications.documents.publishing import publish
from notifications.documents.seeding import seed
from notifications.journeys import parse
from notifications.journeys.kind import FILE, JOURNEYS
from notifications.journeys.live import LiveJourney, LiveJourneys
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from notifications.templates.live import LiveTemplates
from services import console
from tests.pages import examine, listen, sign_in
from tests.past_carts import USUAL, arrive, leave

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_draft_is_tried_on_the_carts_of_the_last_days(visit, monkeypatch):
    """Nobody left a cart; then sixty did, and the draft wants dearer carts."""
    regions, logged = MemoryMesh("us"), []
    async with AsyncExitStack() as stack:
        meshes = {name: Mesh(regions.broker("us"), name) for name in ("studio", "console", "offers")}
        for mesh in meshes.values():
            stack.push_async_callback(mesh.broker.drain)
        pages = await stack.enter_async_context(running(studio, meshes["studio"], http=("127.0.0.1", 0)))
        monkeypatch.setenv("CARTMESH_URL_STUDIO", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        journey = USUAL.replace('"mail"', '"abandoned-cart"')
        await seed(TEMPLATES, "", meshes["studio"])
        await publish(JOURNEYS, "sale", {FILE: journey}, "seed", meshes["studio"])
        page = await visit()
        listen(page, logged)
        url = f"http://127.0.0.1:{run.port}"
        await sign_in(page, meshes["console"], url, "marketer")
        await page.goto(f"{url}/console")
        await page.goto(f"http://127.0.0.1:{run.port}/journeys/sale")
        await page.get_by_role("link", name="Rehearse").click()
        await expect(
            page.get_by_role("heading", name="No cart of the last 7 days can be decided again")
        ).to_be_visible()

        await arrive(meshes["offers"])
        live = LiveJourneys([LiveJourney(journey=parse("sale", journey, {}), revision=1)])
        context = DecisionContext(journeys=live, templates=LiveTemplates(), secret="secret" * 4)
        for number in range(60):
            await leave(meshes["offers"], context, number)
        draft = {FILE: f'{journey}minimum_value = ["30 EUR"]\n'}
        await save_draft(JOURNEYS, "sale", draft, "seed", meshes["studio"], version=0)
        await page.goto(f"http://127.0.0.1:{run.port}/journeys/sale/review")
        await page.get_by_role("link", name="Rehearse it first").click()
        await expect(page.locator(".tiles")).to_contain_text("Carts decided again60")
        differs = page.get_by_role("region", name="What would differ")
        await expect(differs).to_contain_text("15 got one and would not any more")
        await expect(differs).to_contain_text("Dropped: The cart is below the journey's minimum value")
        await examine(page)
        examples = page.get_by_role("region", name="Examples").get_by_role("link", name="The mail for cart")
        await expect(examples).to_have_count(10)
        mail = await page.request.get(f"{url}{await examples.first.get_attribute('href')}")
        assert ("Still thinking it over?" in await mail.text(), "69.00" in await mail.text()) == (True, True)
        assert "sandbox" in mail.headers["content-security-policy"]
    assert logged == []
