"""The sender's page over real HTTP, with a real name server: what is right, different, missing, or cannot be asked."""

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from html import unescape
from time import monotonic

import dkim
import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.errors import DeclarationError
from mesh.events.console import ConsoleChanged
from mesh.runtime.run import running
from notifications.documents.seeding import seed
from notifications.inbox.server import inbox
from notifications.mail_keys import make_key
from notifications.studio import service as studio
from notifications.studio.sender_pages.public_dns import PATIENCE, DnsSettings, PublicDns
from notifications.templates.kind import TEMPLATES

PRIVATE, PUBLIC = make_key("rsa")
SPF, DKIM, DMARC = "shop.example.test", "k1._domainkey.shop.example.test", "_dmarc.shop.example.test"
RIGHT = {
    SPF: ["v=spf1 include:_spf.example.net ~all", "site-verification=abc"],
    DKIM: [f"v=DKIM1; k=rsa; p={PUBLIC}"],
    DMARC: ["v=DMARC1; p=none; rua=mailto:reports@shop.example.test"],
}
SETTINGS = {
    "MAIL_FROM": "Tea & Co <offers@shop.example.test>",
    "SHOP_ADDRESS": "Teeweg 1, 20095 Hamburg",
    "DKIM_SELECTOR": "k1",
    "DKIM_PUBLIC_KEY": PUBLIC,
    "SPF_SENDERS": "include:_spf.example.net",
    "DMARC_REPORTS": "reports@shop.example.test",
}


@dataclass
class Place:
    """The studio of a region, and the name server that it asks."""

    port: int
    mesh: Mesh
    server: object
    staff: object

    async def come(self, role):
        """Somebody with a role, before the pages."""
        return await self.staff(self.mesh, self.port, role)


@pytest.fixture
async def place(staff, name_server, monkeypatch):
    regions = MemoryMesh("us")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(name_server())
        for name, value in {**SETTINGS, "DNS_SERVER": server.address}.items():
            monkeypatch.setenv(f"CARTMESH_{name}", value)
        brokers = [regions.broker("us") for _ in range(3)]
        for broker in brokers:
            stack.push_async_callback(broker.drain)
        await seed(TEMPLATES, "", Mesh(brokers[2], "offers"))
        run = await stack.enter_async_context(running(studio, Mesh(brokers[0], "studio"), http=("127.0.0.1", 0)))
        yield Place(run.port, Mesh(brokers[1], "tests"), server, staff)


def now(answer, kind):
    """What the page says of a record as DNS has it now."""
    part = re.search(rf'<div class="now" id="now-{kind}">(.*?)</div>', answer.text, re.DOTALL)[1]
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", part).split()))


async def check(person):
    """Press the button."""
    return await person.send("/sender/check", page="/sender")


async def test_the_page_says_who_sends_and_what_dns_should_have_and_asks_when_told_to(place):
    """A marketer asks, a viewer sees what came of it and cannot ask; the private key is nowhere."""
    viewer, marketer = await place.come("viewer"), await place.come("marketer")
    place.server.texts = RIGHT
    before = await viewer.get("/sender")
    refused = await check(viewer)
    asked_before = list(place.server.asked)

    checked = await check(marketer)
    after = await viewer.get("/sender")

    text = unescape(before.text)
    assert all(value[0] in text for value in RIGHT.values())
    assert all(part in text for part in ("Tea & Co", "offers@shop.example.test", "Teeweg 1, 20095 Hamburg"))
    assert (refused.status_code, asked_before, "Check now" in text) == (403, [], False)
    assert [now(before, kind) for kind in ("SPF", "DKIM", "DMARC")] == ["Not checked"] * 3
    assert now(checked, "SPF") == "Right Published as it should be."
    assert now(checked, "DKIM") == "Right Published as it should be."
    assert now(checked, "DMARC") == "Right Published as it should be. Receivers only report what fails (p=none)."
    assert now(after, "DKIM") == now(checked, "DKIM")
    assert "PRIVATE" not in checked.text
    assert [one async for one in place.mesh.read(ConsoleChanged)] == []


DIFFERENT = [
    ("SPF", {SPF: []}, "Missing Nothing is published under this name."),
    ("SPF", {SPF: ["v=spf1 a mx -all"]}, "It does not name include:_spf.example.net"),
    ("SPF", {SPF: ["v=spf1 include:_spf.example.net +all"]}, "lets everybody send in your name"),
    ("SPF", {SPF: ["v=spf1 include:_spf.example.net"]}, "add ~all at its end"),
    ("SPF", {SPF: ["v=spf1 ~all", "v=spf1 include:_spf.example.net ~all"]}, "There are 2 SPF records"),
    ("SPF", {SPF: ["v=spf1 ip4:203.0.113.7 include:_spf.example.net -all"]}, "Right Published as it should be."),
    ("DKIM", {DKIM: ["v=DKIM1; p="]}, "it was withdrawn"),
    ("DKIM", {DKIM: [f"v=DKIM1; k=rsa; p={PUBLIC[:200]}"]}, f"it has 200 signs and should have {len(PUBLIC)}"),
    ("DKIM", {DKIM: [f"v=DKIM1; k=rsa; p={make_key('rsa')[1]}"]}, "Its key is another one"),
    ("DKIM", {DKIM: [f"v=DKIM1; t=y; p={PUBLIC}"]}, "It says t=y"),
    ("DKIM", {DKIM: [f"k=rsa; p={PUBLIC[:90]} {PUBLIC[90:]}"]}, "Right Published as it should be."),
    ("DMARC", {DMARC: ["v=DMARC1"]}, "It has no policy"),
    ("DMARC", {DMARC: ["v=DMARC1; p=none"]}, "Reports do not go to reports@shop.example.test"),
    ("DMARC", {DMARC: ["v=DMARC1; p=reject; rua=mailto:reports@shop.example.test"]}, "refuse what fails (p=reject)"),
    ("DMARC", {DMARC: [], "_dmarc.example.test": RIGHT[DMARC]}, "It is taken from _dmarc.example.test."),
    ("DMARC", {DMARC: ["<script>alert(1)</script>"]}, "Missing"),
    ("SPF", {SPF: ["v=spf1 <b>x</b> ~all"]}, "Published now: v=spf1 <b>x</b> ~all"),
]


async def test_what_is_different_is_said_with_what_to_change(place):
    """Only the record that is wrong is; stricter records than ours are right."""
    marketer = await place.come("marketer")

    for kind, published, said in DIFFERENT:
        place.server.texts = RIGHT | published
        answer = await check(marketer)

        assert said in now(answer, kind), (published, now(answer, kind))
        others = {"SPF", "DKIM", "DMARC"} - {kind}
        assert {now(answer, one).split()[0] for one in others} == {"Right"}, published


async def test_a_name_server_that_is_silent_or_fails_is_said_and_keeps_nobody_waiting(place):
    """The three are asked at the same time, so that the page waits once."""
    marketer = await place.come("marketer")
    place.server.silent = True

    begun = monotonic()
    silent = await check(marketer)
    took = monotonic() - begun
    place.server.silent, place.server.fails = False, True
    failing = await check(marketer)

    assert now(silent, "SPF").startswith(
        "Not known DNS could not be asked: no name server answered within 2.5 seconds."
    )
    assert {now(silent, kind) for kind in ("DKIM", "DMARC")} == {now(silent, "SPF")}
    assert took < 4 * PATIENCE  # one after the other, five names take 5
    assert "Not known DNS could not be asked: the name server gave no answer that can be used." in now(failing, "DKIM")


async def test_a_studio_that_has_the_key_signs_test_mails(place, monkeypatch, tmp_path):
    """As the server received it; one that only knows the selector says that they are unsigned; a wrong key is told."""
    monkeypatch.setenv("CARTMESH_DKIM_KEY", PRIVATE)
    marketer = await place.come("marketer")
    async with inbox(tmp_path) as box:
        monkeypatch.setenv("CARTMESH_SMTP_PORT", str(box.smtp_port))
        fields = await _form(marketer)
        await marketer.send("/templates/abandoned-cart/test-mail", page="/templates/abandoned-cart", **fields)
        monkeypatch.delenv("CARTMESH_DKIM_KEY")
        unsigned = await marketer.send(
            "/templates/abandoned-cart/test-mail", page="/templates/abandoned-cart", **fields
        )
        monkeypatch.setenv("CARTMESH_DKIM_KEY", "/nowhere")
        wrong = await marketer.send("/templates/abandoned-cart/test-mail", page="/templates/abandoned-cart", **fields)
        mail, plain = [(tmp_path / one.file).read_bytes() for one in box.mails]

    assert dkim.verify(mail, dnsfunc=lambda name, **_: RIGHT[name.decode().rstrip(".")][0].encode())
    assert (unsigned.status_code, "it is not signed" in unsigned.text) == (200, True)
    assert b"DKIM-Signature" not in plain
    assert (wrong.status_code, "Not sent: CARTMESH_DKIM_KEY is neither" in unescape(wrong.text)) == (502, True)


async def _form(person):
    """The fields of the template's editor."""
    text = (await person.get("/templates/abandoned-cart?locale=en")).text
    editor = text[text.index('<form id="editor"') :]
    found = re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', editor, re.DOTALL)
    return {name: unescape(value) for name, value in found} | dict(
        re.findall(r'<input type="hidden" name="(locale|read|text:kind)" value="([^"]*)">', editor)
    )


@pytest.mark.parametrize("address", ["dns.example.com", "127.0.0.1:port", "1.2.3"])
def test_a_name_server_is_named_by_its_address(address):
    """A wrong one is an error at the start."""
    with pytest.raises(DeclarationError, match="CARTMESH_DNS_SERVER"):
        PublicDns(DnsSettings(dns_server=address))
