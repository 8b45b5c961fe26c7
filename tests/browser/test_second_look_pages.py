"""A draft that two people see, and a mail as it was sent: real Chromium, from the list to what is in force."""

from contextlib import AsyncExitStack

import pytest
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.offer import OfferSent
from mesh.runtime.run import running
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from services import console
from tests.approved_offer import approved_offer
from tests.journey_form import unfold
from tests.pages import examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_somebody_elses_draft_is_approved_and_a_sent_mail_is_looked_at(visit, monkeypatch):
    """Ada asks, Grace sees what changes and approves; a journey is on in one region; a mail as wide as on a phone."""
    monkeypatch.setenv("CARTMESH_REVIEW_REQUIRED", "journeys,templates")
    regions, logged = MemoryMesh("us", "eu"), []
    async with AsyncExitStack() as stack:
        meshes = {name: Mesh(regions.broker("us"), name, others=("eu",)) for name in ("studio", "console", "offers")}
        for mesh in meshes.values():
            stack.push_async_callback(mesh.broker.drain)
        for kind in (TEMPLATES, JOURNEYS):
            await seed(kind, "", meshes["offers"])
        pages = await stack.enter_async_context(running(studio, meshes["studio"], http=("127.0.0.1", 0)))
        monkeypatch.setenv("CARTMESH_URL_STUDIO", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{run.port}"
        ada, grace = await visit(), await visit()
        for page, name, role in ((ada, "Ada", "publisher"), (grace, "Grace", "admin")):
            listen(page, logged)
            await sign_in(page, meshes["console"], url, role, name)

        await ada.goto(f"{url}/journeys/abandoned-cart")
        await unfold(ada)
        await ada.get_by_role("checkbox", name="eu").check()
        await expect(ada.locator("#saved")).to_contain_text("Draft saved")
        await ada.get_by_role("button", name="Compare and publish").click()
        await ada.get_by_label("Comment").fill("For spring.\nThe region is from the meeting.")
        await ada.get_by_role("button", name="Ask for review").click()
        await expect(ada.get_by_text("review asked for")).to_be_visible()

        await grace.goto(f"{url}/journeys")
        await grace.get_by_role("link", name="Ada asks for review").click()
        await expect(grace.get_by_role("row", name="On in")).to_contain_text("eu")
        await examine(grace, "review")
        await grace.get_by_role("button", name="Approve").click()
        await expect(grace.get_by_text("Grace approved this")).to_be_visible()
        await ada.reload()
        await ada.get_by_role("button", name="Publish in every region").click()
        await expect(ada.get_by_text("Revision 1 is published")).to_be_visible()

        offer = approved_offer(template_revision=0, coupon="BACK-1", discount_percent=10)
        sent = OfferSent(cart_id="c1", visitor_id="v1", offer_id=offer.offer_id, channel="email")
        await meshes["offers"].publish(offer)
        await meshes["offers"].publish(sent)
        await grace.goto(f"{url}/decisions/c1")
        await grace.get_by_role("link", name="The mail that was sent").first.click()
        mail = grace.frame_locator('iframe[name="mail"]')
        await expect(mail.get_by_role("cell", name="Lamp", exact=True)).to_be_visible()
        await grace.get_by_role("radio", name="Phone").check()
        await expect(grace.locator('iframe[name="mail"]')).to_have_css("width", "390px")
        await examine(grace, "mail")
    assert logged == []
