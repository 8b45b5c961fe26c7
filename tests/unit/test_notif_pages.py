"""Pages: the inbox shows mails without running them."""

from base64 import b64encode
from pathlib import Path

import httpx
import pytest
from litestar.testing import AsyncTestClient

from mesh.runtime.serving import serving
from notifications.channels.email_message import MailSettings, compose
from notifications.inbox.page import app as inbox_pages
from notifications.inbox.store import Inbox
from notifications.render_pool import CardText, Rendered

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
