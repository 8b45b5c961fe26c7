"""Pages: the inbox shows mails without running them; the link asks first."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from litestar.testing import AsyncTestClient

from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerUnsubscribed
from mesh.group_commit import GroupCommitter
from mesh.runtime.run import running
from mesh.runtime.serving import serving
from notifications import confirmation_token
from notifications.channels.email_message import MailSettings, compose
from notifications.confirmation_token import Confirmation
from notifications.inbox.page import app as inbox_pages
from notifications.inbox.store import Inbox
from notifications.links import service as links
from notifications.render_pool import CardText, Rendered
from notifications.shopper_profile import profile_of
from notifications.unsubscribe_token import Unsubscription, seal

EVIL = "<p>Hello</p><script>alert(1)</script>"


class Taken:
    """An SMTP envelope as aiosmtpd hands it over."""

    def __init__(self, subject):
        rendered = Rendered(
            locale="en", subject=subject, html=EVIL, text="Hello", card=CardText(title="", body="", action="")
        )
        self.content = compose(
            rendered, to="ada@example.test", offer_id="o1", unsubscribe_url="https://x.test", settings=MailSettings()
        )
        self.mail_from, self.rcpt_tos = "shop@example.test", ["<b>ada</b>@example.test"]


@pytest.fixture
async def browser(tmp_path: Path):
    box = Inbox(tmp_path)
    async with (
        serving(inbox_pages(box), "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        client.box = box
        yield client
    box.close()


async def test_an_empty_inbox_says_so(browser):
    """And an unknown mail is a 404."""
    assert "Nothing has arrived yet" in (await browser.get("/")).text
    assert (await browser.get("/mails/7")).status_code == 404


async def test_mails_are_shown_in_a_sandbox(browser):
    """Everything in the list is escaped; the HTML has no scripts, no origin and no cookie."""
    await browser.box.handle_DATA(None, None, Taken("A <i>subject</i>"))

    listed, shown = await browser.get("/"), await browser.get("/mails/1?part=text")
    body = await browser.get("/mails/1/body")

    assert "A &lt;i&gt;subject" in listed.text
    assert "<b>ada</b>" not in listed.text
    assert "sandbox=" in listed.text
    assert "Hello" in shown.text
    assert body.text.strip() == EVIL
    assert body.headers["content-security-policy"].startswith("sandbox")
    assert "script-src" not in body.headers["content-security-policy"]
    assert "set-cookie" not in body.headers


async def test_a_mails_head_is_for_people_and_the_rest_is_in_the_details(browser):
    """Sender and recipient as they are written in it, a time without microseconds; the Message-ID is folded away."""
    await browser.box.handle_DATA(None, None, Taken("Hello"))

    shown = (await browser.get("/")).text

    head, _, details = shown.partition("<details>")
    assert "Cartmesh Shop &lt;offers@shop.example.test&gt;" in head
    assert "ada@example.test" in head
    received = browser.box.mails[0].received
    assert f'<time datetime="{received.isoformat()}">{received:%Y-%m-%d %H:%M} UTC</time>' in head
    assert "&lt;o1@shop.example.test&gt;" not in head
    assert "&lt;o1@shop.example.test&gt;" in details


@pytest.mark.parametrize(
    ("consoles", "link"), [("us=http://c.test eu=http://d.test", "http://c.test/board?offer=o1"), ("", None)]
)
async def test_a_mail_leads_to_the_decision_that_caused_it(tmp_path, monkeypatch, consoles, link):
    """By the offer that its header names, on the board of the first console; where there is none, there is no link."""
    monkeypatch.setenv("CARTMESH_URLS_CONSOLE", consoles)
    box = Inbox(tmp_path)
    async with AsyncTestClient(inbox_pages(box)) as client:
        await box.handle_DATA(None, None, Taken("Hello"))
        shown = (await client.get("/")).text
    box.close()

    assert ("Why this mail was sent" in shown) == (link is not None)
    assert link is None or f'href="{link}"' in shown


async def test_how_a_mail_is_looked_at_stays_from_one_to_the_next(browser):
    """Width and colours stand in every link; what is no width is as if nothing was asked."""
    for _ in range(2):
        await browser.box.handle_DATA(None, None, Taken("Hello"))

    shown, odd = (await browser.get("/?width=390&scheme=dark")).text, (await browser.get("/?width=7&scheme=pink")).text

    assert '<iframe class="w390" data-scheme="dark"' in shown
    assert 'href="/mails/1?width=390&amp;scheme=dark"' in shown
    assert '<iframe class="w640" data-scheme="light"' in odd


@pytest.mark.parametrize(("scheme", "condition"), [("dark", "(min-width: 0)"), ("light", "(max-width: 0)")])
async def test_a_mail_is_shown_as_in_dark_mode_or_in_light(browser, scheme, condition):
    """Whatever the browser itself prefers: the condition of its dark styles always holds, or never."""
    styled = Taken("Hello")
    styled.content = styled.content.replace(
        b64encode(EVIL.encode()), b64encode(b"<style>@media (prefers-color-scheme: dark) { p { } }</style>")
    )
    await browser.box.handle_DATA(None, None, styled)

    body = (await browser.get(f"/mails/1/body?scheme={scheme}")).text

    assert body.strip() == f"<style>@media {condition} {{ p {{ }} }}</style>"


async def test_open_pages_are_told_of_each_mail_that_arrives(browser):
    """How many there are, at once and again with each; the stream ends with the inbox."""
    async with browser.stream("GET", "/live") as stream:
        lines = (line async for line in stream.aiter_lines() if line.startswith("data: "))
        assert await anext(lines) == "data: 0"
        await browser.box.handle_DATA(None, None, Taken("Hello"))
        assert await anext(lines) == "data: 1"
        for end in browser.box.on_close:
            end()
        assert [line async for line in lines] == []


SECRET = "of-the-links-in-mails"


@pytest.fixture
async def visitor(mesh, monkeypatch):
    monkeypatch.setenv("CARTMESH_SECRET", SECRET)
    async with (
        running(links, mesh, http=("127.0.0.1", 0)) as run,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", timeout=60) as client,
    ):
        yield client


def path(secret=SECRET):
    return "/unsubscribe/" + seal(Unsubscription(visitor_id="ada", channel="email", offer_id="o1"), secret)


async def test_looking_changes_nothing_and_clicking_is_stored_before_the_answer(visitor, mesh):
    """Prefetchers GET; people and mail programs POST, in their language."""
    asked = await visitor.get(path(), headers={"Accept-Language": "de-DE,de;q=0.9"})
    assert (await mesh.history("ada", "customer")).last(CustomerUnsubscribed) is None

    clicked = await visitor.post(path(), data={"List-Unsubscribe": "One-Click"})

    unsubscribed = (await mesh.history("ada", "customer")).last(CustomerUnsubscribed).event
    assert unsubscribed == CustomerUnsubscribed(visitor_id="ada", channel="email", offer_id="o1")
    assert "abbestellen" in asked.text
    assert (clicked.status_code, "set-cookie" in clicked.headers) == (200, False)
    assert "form-action 'self'" in asked.headers["content-security-policy"]


async def test_clicking_twice_is_one_event(visitor, mesh):
    """A retry changes nothing."""
    for _ in range(3):
        assert (await visitor.post(path())).status_code == 200

    assert len((await mesh.history("ada", "customer")).of(CustomerUnsubscribed)) == 1


async def test_unsubscribing_again_after_new_consent_is_stored(visitor, mesh):
    """The same link, soon after: the shopper is unsubscribed again."""
    await visitor.post(path())
    await mesh.publish(ConsentChanged(visitor_id="ada", channel="email", granted=True))

    answer = await visitor.post(path())

    assert answer.status_code == 200
    assert "email" in profile_of(await mesh.history("ada", "customer")).unsubscribed


def confirm_path(secret=SECRET, asked=None):
    asked = asked or datetime.now(UTC)
    token = confirmation_token.seal(
        Confirmation(visitor_id="ada", channel="email", address="d1", asked=int(asked.timestamp())), secret
    )
    return f"/confirm/{token}"


async def test_only_the_button_confirms_and_it_does_so_once(visitor, mesh):
    """Scanners of mails GET; a repeated click is the same event, until the shopper unsubscribes in between."""
    link = confirm_path()
    asked = await visitor.get(link, headers={"Accept-Language": "de"})
    assert (await mesh.history("ada", "customer")).events == ()

    clicked = [await visitor.post(link) for _ in range(2)]
    once = len((await mesh.history("ada", "customer")).of(ConsentConfirmed))
    await visitor.post(path())
    await visitor.post(link)

    confirmed = (await mesh.history("ada", "customer")).of(ConsentConfirmed)
    assert [answer.status_code for answer in clicked] == [200, 200]
    assert "Dürfen wir Ihnen schreiben?" in asked.text
    assert (once, len(confirmed)) == (1, 2)
    assert confirmed[0].event == ConsentConfirmed(visitor_id="ada", channel="email", address="d1")


async def test_unsubscribing_again_after_confirming_is_stored(visitor, mesh):
    """The same link, soon after: the shopper is unsubscribed again."""
    for link in (path(), confirm_path(), path()):
        assert (await visitor.post(link)).status_code == 200

    assert len((await mesh.history("ada", "customer")).of(CustomerUnsubscribed)) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("link", "status"),
    [
        (confirm_path("guessed"), 400),
        (path().replace("unsubscribe", "confirm"), 400),
        (confirm_path(asked=datetime.now(UTC) - timedelta(days=8)), 410),
    ],
    ids=["forged", "of another purpose", "too old"],
)
async def test_a_link_that_is_no_confirmation_confirms_nothing(visitor, mesh, method, link, status):
    """Neither one of somebody else's, nor the link to unsubscribe, nor one from long ago."""
    answer = await visitor.request(method, link)

    assert answer.status_code == status
    assert (await mesh.history("ada", "customer")).events == ()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_forged_link_is_refused_with_a_page(visitor, mesh, method):
    """400, in words, and nothing stored."""
    answer = await visitor.request(method, path("guessed"))

    assert answer.status_code == 400
    assert "This link does not work" in answer.text
    assert (await mesh.history("ada", "customer")).events == ()


async def test_what_cannot_be_stored_is_not_confirmed(visitor, regions, mesh):
    """503 and when to come again."""
    mesh.group = GroupCommitter(mesh.broker, patience=timedelta(0))
    regions.stop("us")

    answer = await visitor.post(path())
    regions.start("us")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
