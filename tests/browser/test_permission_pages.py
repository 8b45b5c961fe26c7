"""Suppressions, what comes back, and what shoppers allow, in real Chromium: by keyboard, wide and narrow."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerIdentified
from mesh.events.offer import OfferSent
from mesh.events.sending import SendingPaused
from mesh.profiles import address_digest
from mesh.runtime.run import running
from notifications.links import service as links
from notifications.mail_reports import service as mail_reports
from notifications.mail_reports.intake import BounceSettings, record
from notifications.mail_reports.report import MailReport
from notifications.preference_token import PreferenceLink, seal
from notifications.sender_rates import read_rates
from notifications.sending_pauses import place_of
from notifications.studio import service as studio
from services import console
from services.identity import service as identity
from tests.pages import examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECRET = "of-the-links-in-mails"


@dataclass
class House:
    """A region's console with the studio behind it, the service that keeps the list, and the pages behind links."""

    url: str
    shoppers: str
    mesh: Mesh
    reports: Mesh


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house():
    regions, patch = MemoryMesh("us"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        patch.setenv("CARTMESH_SECRET", SECRET)
        meshes = {}
        for name in ("studio", "console", "identity", "mail-reports", "links"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, name)
        for service in (identity, mail_reports):
            await stack.enter_async_context(running(service, meshes[service.name]))
        pages = await stack.enter_async_context(running(studio, meshes["studio"], http=("127.0.0.1", 0)))
        patch.setenv("CARTMESH_URL_STUDIO", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        behind = await stack.enter_async_context(running(links, meshes["links"], http=("127.0.0.1", 0)))
        url, shoppers = (f"http://127.0.0.1:{port}" for port in (run.port, behind.port))
        yield House(url, shoppers, meshes["console"], meshes["mail-reports"])


async def _bounced(house, address, mail=None):
    report = MailReport(about="bounce", id=f"r-{address}", source="mailbox", address=address, mail=mail, hard=True)
    assert await record(report, house.reports, BounceSettings()) == "stored"


@pytest.mark.timeout(600)
async def test_an_address_is_looked_up_and_taken_off_and_a_list_is_imported(house, visit, eventually):
    """From the empty page on; the suppressed address came by a bounce."""
    logged = []
    page = await visit()
    listen(page, logged)
    await sign_in(page, house.mesh, house.url, "admin")
    await page.goto(f"{house.url}/console")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Suppressions").click()
    await expect(page.get_by_text("Nobody is on the list yet")).to_be_visible()
    await _bounced(house, "gone@example.com")

    await page.get_by_label("E-mail address").fill("Gone@Example.com")
    await page.get_by_label("E-mail address").press("Enter")
    await expect(page.get_by_role("status").filter(has_text="A mail came back for good, since")).to_be_visible()
    await examine(page)
    await page.get_by_label("Why").fill("a new mailbox")
    await page.get_by_role("button", name="Take off the list").press("Enter")
    await expect(page.get_by_text("It may be written to again, where it is allowed.")).to_be_visible()

    content = b"email\nada@example.com\nnobody\nbob@example.com\n"
    await page.get_by_label("File").set_input_files({"name": "list.csv", "mimeType": "text/csv", "buffer": content})
    await page.get_by_role("button", name="Import", exact=True).click()
    await expect(page.get_by_text("2 addresses from 2 lines.")).to_be_visible()
    await expect(page.get_by_role("cell", name="no address in it")).to_be_visible()
    await examine(page)
    await eventually(lambda: _counts(page, house))
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Export").click()
    assert (await downloading.value).suggested_filename == "suppressions.csv"
    assert logged == []


async def _counts(page, house):
    await page.goto(f"{house.url}/suppressions")
    return await page.get_by_role("heading", name="2 addresses").is_visible()


@pytest.mark.timeout(600)
async def test_what_comes_back_is_shown_and_a_pause_is_ended_by_a_button(house, visit, eventually):
    """By domain, the paused one first, with why and what to do."""
    page = await visit()
    await sign_in(page, house.mesh, house.url, "publisher")
    await page.goto(f"{house.url}/console")
    for n in range(12):
        domain = "held.example" if n < 4 else "fine.example"
        await house.mesh.publish(
            OfferSent(cart_id=f"c{n}", visitor_id=f"v{n}", offer_id=f"m{n}", channel="email", domain=domain)
        )
    await _bounced(house, "a@held.example", mail="m1")
    paused = {"place": place_of("held.example"), "domain": "held.example", "paused": True, "by": "mail-reports"}
    await house.mesh.publish(SendingPaused(**paused, reason="1 of 4 mails bounced, more than 5.0%"))
    await eventually(lambda: _rated(house))

    await page.goto(f"{house.url}/sender")
    await expect(page.get_by_role("alert")).to_contain_text("Offers to held.example are held")
    await expect(page.get_by_role("alert")).to_contain_text("1 of 4 mails bounced, more than 5.0%")
    await expect(page.get_by_role("row").nth(1)).to_contain_text("held.example held 4 1 25.00 %")
    await examine(page)
    await page.get_by_role("button", name="Go on sending to held.example").press("Enter")

    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.get_by_role("row").nth(1)).to_contain_text("fine.example")


async def _rated(house):
    found = await read_rates(house.reports, today=datetime.now(UTC).date())
    return "hard" in found.get("held.example", {}) and found.get("fine.example") == {"sent": 8}


@pytest.mark.timeout(600)
async def test_a_shopper_chooses_what_to_get_by_keyboard_and_without_javascript(house, visit):
    """The link of a mail: looked at, changed, and as it was saved when looked at again."""
    await house.mesh.publish(CustomerIdentified(visitor_id="ada", email="ada@example.com"))
    await house.mesh.publish(ConsentChanged(visitor_id="ada", channel="email", granted=True))
    address, due = address_digest("ada@example.com"), int(datetime.now(UTC).timestamp())
    token = seal(PreferenceLink(visitor_id="ada", address=address, offer_id="o1", due=due), SECRET)
    page = await visit(locale="de-DE")
    await page.goto(f"{house.shoppers}/preferences/{token}")
    mails = page.get_by_role("group", name="Angebote und Erinnerungen per E-Mail")
    await expect(mails.get_by_label("Ja")).to_be_checked()
    await examine(page)

    await mails.get_by_label("Ja").focus()
    await page.keyboard.press("ArrowRight")
    await expect(mails.get_by_label("Nein")).to_be_checked()
    await page.get_by_role("button", name="Speichern").press("Enter")

    await expect(page.get_by_role("heading", name="Gespeichert")).to_be_visible()
    await page.goto(f"{house.shoppers}/preferences/{token}")
    await expect(mails.get_by_label("Nein")).to_be_checked()
    await mails.get_by_label("Ja").check()
    await page.get_by_role("button", name="Speichern").click()
    await expect(page.get_by_role("heading", name="Gespeichert")).to_be_visible()
    confirmed = await house.mesh.last(ConsentConfirmed, "ada")
    assert confirmed.event.wording == "Was dürfen wir Ihnen schicken?: Angebote und Erinnerungen per E-Mail: Ja"
