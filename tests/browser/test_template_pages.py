"""The templates pages as marketers see them: real Chromium, the real studio on a mesh in memory."""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import TimeoutError as PlaywrightTimeout
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import running
from mesh.web.sessions import Sessions
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from tests.pages import examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAGE = "/templates/abandoned-cart"


@dataclass
class House:
    """The studio of a region."""

    url: str
    mesh: Mesh

    async def enter(self, page, name, role):
        """Be somebody who is signed in."""
        await sign_in(page, self.mesh, self.url, role, name)

    async def subject_in_force(self, name):
        """The line of a template's English file that holds the subject."""
        document = await self.mesh.state(TEMPLATES.bucket).get(name)
        return next(line for line in document.files["en.mjml.j2"].splitlines() if line.startswith("subject"))


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
async def test_a_marketer_changes_a_subject_sees_it_and_publishes_it(house, visit):
    """From the list to the history: the mail follows what is typed, a fault is shown with its line, and led to."""
    page = await visit()
    await house.enter(page, "Ada", "publisher")
    await page.goto(f"{house.url}/templates")
    await page.get_by_role("row", name="abandoned-cart").get_by_role("link").first.click()
    mail = page.frame_locator("#mail")
    await expect(mail.get_by_text("Ada, still thinking it over?")).to_be_visible()
    steps = await page.evaluate("history.length")

    await page.get_by_label("Headline").fill("Your cart, {{ custmer.name }}\nis {{ count }} things")
    found = page.locator(".findings")
    await expect(found).to_contain_text("'custmer' is undefined")
    await expect(found).to_contain_text("Did you mean customer?")
    await expect(mail.get_by_text("There is no mail to show")).to_be_visible()
    await found.get_by_role("link", name="Headline, line 1").click()
    await expect(page.get_by_label("Headline")).to_be_focused()
    assert await page.evaluate("getSelection().toString()") == "Your cart, {{ custmer.name }}"

    await page.get_by_label("Headline").fill("Your cart has ")
    await page.get_by_text("Variables and filters").click()
    await page.get_by_role("button", name="count", exact=True).click()
    await expect(page.get_by_label("Headline")).to_have_value(
        "Your cart has {{ count | plural(one='# item', other='# items') }}"
    )
    await page.get_by_label("Subject").fill("Half price until Sunday")
    await expect(page.locator("#subject")).to_have_text("Half price until Sunday")
    await expect(mail.get_by_text("Your cart has 3 items")).to_be_visible()
    await expect(page.locator(".window iframe")).to_have_count(1)
    await page.get_by_label("Cart", exact=True).select_option("one line")
    await expect(mail.get_by_text("Your cart has 1 item", exact=True)).to_be_visible()
    assert await page.evaluate("history.length") == steps

    await page.get_by_text("Phone", exact=True).click()
    await page.get_by_text("Dark", exact=True).click()
    await expect(page.locator("#mail")).to_have_css("width", "390px")
    await expect(mail.locator("body")).to_have_css("background-color", "rgb(20, 18, 17)")

    await expect(page.locator("[data-saved]")).to_contain_text("Saved")
    await page.get_by_role("button", name="Review and publish").click()
    await expect(page.locator("tr[data-kind=new]").first).to_contain_text('subject = "Half price until Sunday"')
    await page.get_by_role("button", name="Publish").click()
    await expect(page.get_by_role("status")).to_contain_text("Published.")
    assert await house.subject_in_force("abandoned-cart") == 'subject = "Half price until Sunday"'


@pytest.mark.timeout(300)
async def test_the_second_of_two_people_is_shown_what_the_first_one_saved(house, visit):
    """While typing, without leaving the page; nothing of theirs is overwritten and nothing of hers is lost."""
    first, second = await visit(), await visit()
    await house.enter(first, "Bea", "marketer")
    await house.enter(second, "Cleo", "marketer")
    for page in (first, second):
        await page.goto(f"{house.url}/templates/order-shipped")

    await first.get_by_label("Subject").fill("Bea's subject")
    await expect(first.locator("[data-saved]")).to_contain_text("Saved")
    await second.get_by_label("Subject").fill("Cleo's subject")

    alert = second.get_by_role("alert")
    await expect(alert).to_contain_text("Bea saved these texts meanwhile")
    await expect(alert.locator("tr[data-kind=gone]")).to_contain_text("Bea's subject")
    await expect(second.get_by_label("Subject")).to_have_value("Cleo's subject")
    await second.get_by_role("button", name="Save mine over theirs").click()
    await expect(second.get_by_role("status").first).to_contain_text("The draft is saved")
    await expect(second.get_by_label("Subject")).to_have_value("Cleo's subject")


@pytest.mark.timeout(300)
async def test_a_form_that_is_sent_while_the_page_saves_waits_for_that(house, visit):
    """What is typed after the page began to save is in the draft too, and nobody is told of their own save."""
    page = await visit()
    await house.enter(page, "Fay", "marketer")
    await page.goto(f"{house.url}/templates/order-confirmed")
    stored, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(route):
        if "hx-request" not in route.request.headers:
            return await route.continue_()
        answer = await route.fetch()
        stored.set()
        await go_on.wait()
        return await route.fulfill(response=answer)

    await page.route("**/draft", slowly)
    await page.get_by_label("Headline").fill("First")
    await asyncio.wait_for(stored.wait(), 60)
    await page.get_by_label("Headline").fill("First and second")
    await page.get_by_role("button", name="Review and publish").click()
    go_on.set()

    await expect(page.get_by_role("heading", name="What publishing changes")).to_be_visible()
    await expect(page.locator("tr[data-kind=new]")).to_contain_text('headline = "First and second"')


@pytest.mark.timeout(300)
async def test_who_types_on_after_the_session_has_ended_is_told(house, visit):
    """And keeps what was typed."""
    page = await visit()
    await house.enter(page, "Eve", "marketer")
    await page.goto(f"{house.url}/templates/order-delivered")

    await Sessions(house.mesh).end_all("eve")
    await page.get_by_label("Headline").fill("It is there")

    await expect(page.locator("#saved").get_by_role("status")).to_contain_text("your session has ended")
    await expect(page.get_by_label("Headline")).to_have_value("It is there")


@pytest.mark.timeout(300)
async def test_everyone_can_use_it(house, visit):
    """axe-core finds nothing, wide and light, narrow and dark; nothing is cut off and nothing is blocked."""
    page, logged = await visit(), []
    listen(page, logged)
    await house.enter(page, "Dora", "publisher")
    for path in ("/templates", f"{PAGE}/history?revision=0"):
        await page.goto(house.url + path)
        await examine(page, path)
    await page.goto(f"{house.url}/templates/order-refunded")
    await page.get_by_label("Headline").fill("{{ ordr.number }}")
    await expect(page.locator(".findings")).to_contain_text("Did you mean order?")
    await page.get_by_text("Variables and filters").click()
    await page.get_by_text("Add or remove a language").click()
    await examine(page, "the editor with a fault")
    await page.get_by_label("Headline").fill("{{ order.number }}")
    await expect(page.locator("[data-saved]")).to_contain_text("Saved")
    await page.goto(f"{house.url}/templates/order-refunded/review")
    await examine(page, "the review")

    assert [line for line in logged if "status of 422" not in line] == []


async def _complete(page, begun, name):
    """Begin a name and take what is proposed. What closes the list, such as the page that moves, is typed again."""
    proposed, text = page.locator(".ace_autocomplete").get_by_text(name).first, page.locator("#text-body")
    before = await text.input_value()
    for _ in range(6):
        await page.keyboard.type(begun)
        with suppress(PlaywrightTimeout):
            await proposed.wait_for(timeout=15_000)
            await page.keyboard.press("Enter")
        if await text.input_value() == before + name:
            return
        while await text.input_value() != before:
            await page.keyboard.press("Backspace")
    raise AssertionError(f"{name} is not proposed for {begun}")


@pytest.mark.timeout(300)
async def test_code_knows_the_variables_and_a_phone_gets_a_plain_field(house, visit):
    """Loaded when it is seen; the mail follows it, names are completed, the keyboard gets in and out; on phones not."""
    page, logged, loaded = await visit(), [], []
    listen(page, logged)
    page.on("request", lambda one: loaded.append(one.url.rpartition("/")[2]))
    await house.enter(page, "Dora", "marketer")
    await page.goto(f"{house.url}{PAGE}?locale=de", wait_until="networkidle")
    code, mail = page.locator(".code-view"), page.frame_locator("#mail")
    assert ("code_view.js" in loaded, "ace.js" in loaded) == (True, False)
    await page.locator("#text-body").focus()
    await page.keyboard.press("Control+Home")
    await page.keyboard.press("End")
    await expect(code.locator(".ace_line").first).to_contain_text("extends")
    await expect(page.locator("#text-body")).to_be_hidden()
    await page.keyboard.type("{# here #}")
    assert (await page.locator("#text-body").input_value()).startswith(
        '{% extends "layouts/offer.mjml.j2" %}{# here #}'
    )
    loaded.clear()

    await page.locator("label[for=text-body]").click()
    await page.keyboard.press("Control+a")
    await page.keyboard.type("<mjml><mj-body><mj-section><mj-column><mj-text>Code {{ ")
    await _complete(page, "coup", "coupon")
    await page.keyboard.type(" }} {{ ")
    await _complete(page, "unsub", "unsubscribe_url")
    await page.keyboard.type(" }}</mj-text></mj-column></mj-section></mj-body></mjml>")
    typed = await page.locator("#text-body").input_value()
    assert "Code {{ coupon }} {{ unsubscribe_url }}" in typed
    await expect(mail.get_by_text("Code BACK-")).to_be_visible()
    await expect(page.locator("[data-saved]")).to_contain_text("Saved")
    await examine(page, "code", (("light", 1280), ("dark", 1280)))
    await page.keyboard.press("Escape")
    await page.keyboard.press("Tab")
    assert not await page.evaluate("document.activeElement.closest('.code-view') !== null")
    # What is saved while a variable is half typed is refused, which htmx and Chromium log.
    assert [line for line in logged if "Content Security Policy" in line] == []

    phone = await visit(viewport={"width": 390, "height": 800})
    phone.on("request", lambda one: loaded.append(one.url.rpartition("/")[2]))
    await house.enter(phone, "Dora", "marketer")
    await phone.goto(f"{house.url}{PAGE}?locale=de")
    await expect(phone.get_by_label("Body")).to_be_visible()
    assert "code_view.js" in loaded
    assert not {"ace.js", "code_view.css"} & set(loaded)


async def test_a_text_message_is_written_counted_and_left_to_another_language(house, visit):
    """Its bubble and price follow what is typed; an empty one is that of the language that stands in."""
    page = await visit()
    await house.enter(page, "Ada", "publisher")
    await page.goto(f"{house.url}{PAGE}")
    bubble, findings = page.locator(".bubble"), page.locator(".findings")
    await expect(bubble).to_contain_text("10% off your cart: https://links.shop.example/s/")
    await expect(page.locator(".envelope")).to_contain_text("1 message, ")

    await page.get_by_label("SMS").fill("Zoë Žs cart waits for her. " * 4)
    await expect(page.locator(".envelope")).to_contain_text("2 messages, 107 of 134 signs")
    await expect(findings).to_contain_text("It does not say how to end these messages")
    await expect(findings).to_contain_text("“ëŽ” is not in the alphabet of text messages")
    await examine(page)
    await page.goto(f"{house.url}{PAGE}?locale=de")
    await expect(bubble).to_contain_text("10 % auf Ihren Warenkorb")
    await page.get_by_label("SMS").fill("")
    await expect(bubble).to_contain_text("Zoë Žs cart waits for her.")


async def test_a_journey_offers_a_channel_that_is_not_set_up_only_with_what_to_set(house, visit, monkeypatch):
    """Nobody chooses by mistake what nobody sends."""
    page = await visit()
    await house.enter(page, "Ada", "publisher")
    await page.goto(f"{house.url}/journeys/abandoned-cart")
    sms = page.get_by_role("checkbox", name="SMS")
    await expect(sms).to_be_disabled()
    await expect(page.get_by_role("group", name="Channels", exact=True)).to_contain_text("CARTMESH_SMS_PROVIDER")

    monkeypatch.setenv("CARTMESH_SMS_PROVIDER", "twilio")
    await page.reload()
    await expect(sms).to_be_enabled()
