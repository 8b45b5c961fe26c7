"""The journeys' pages over real HTTP: what a form saves, who may do what, who was quicker, and what is put on record."""

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser

import httpx
import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.console import ConsoleChanged
from mesh.runtime.run import running
from mesh.web.invitations import Invitations
from notifications.documents.drafts import read_draft
from notifications.documents.publishing import publish
from notifications.documents.seeding import seed
from notifications.journeys.kind import FILE, JOURNEYS, journey_of
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from services import console

PASSWORD = "correct horse battery staple"
CART = "/journeys/abandoned-cart"


class Fields(HTMLParser):
    """The texts that a browser would send of the form `journey`, in the order of the page."""

    def __init__(self, page):
        super().__init__()
        self.sent, self._form, self._select, self._area = [], False, None, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "form":
            self._form = found.get("id") == "journey"
        if not self._form or "name" not in found and tag != "option":
            return
        if tag == "input" and (found.get("type") != "checkbox" or "checked" in found):
            self.sent.append((found["name"], found.get("value", "on")))
        elif tag == "select":
            self._select = found["name"]
        elif tag == "option" and "selected" in found and self._select:
            self.sent.append((self._select, found["value"]) if "value" in found else (self._select, None))
        elif tag == "textarea":
            self._area = found["name"]

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = False
        if tag in ("select", "textarea"):
            self._select = self._area = None

    def handle_data(self, data):
        if self._area:
            self.sent.append((self._area, data.removeprefix("\n").replace("\n", "\r\n")))
        elif self._select and self.sent and self.sent[-1] == (self._select, None):
            self.sent[-1] = (self._select, data)


@dataclass
class Marketer:
    """Somebody who is signed in, with a browser that has no JavaScript."""

    client: httpx.AsyncClient
    page: httpx.Response = None

    async def open(self, path):
        """Go to a page."""
        self.page = await self.client.get(path)
        return self.page

    async def save(self, *, then="", htmx=False, **changes):
        """Send the form of the page that is open, with some fields changed; the page stays open where htmx sends it."""
        fields = [(name, text) for name, text in Fields(self.page.text).sent if name.replace(".", "_") not in changes]
        sent = {}
        for name, text in fields:
            sent.setdefault(name, []).append(text)
        for name, texts in changes.items():
            sent[_control(name)] = texts
        path = re.search(r'id="journey"[^>]* action="([^"]+)"', self.page.text)[1]
        headers = {"HX-Request": "true"} if htmx else {}
        if then:
            sent |= {"then": then} | {"theirs": t[1] for t in [re.search(r'name="theirs" value="(\d+)"', self.text)] if t}
        return await self.client.post(path, data=sent, headers=headers, follow_redirects=not htmx)

    async def press(self, words):
        """Press the only button of the page with these words, which stands in a form of its own."""
        forms = re.findall(r'<form class="action" method="post" action="([^"]+)">(.*?)</form>', self.text, re.DOTALL)
        [(path, form)] = [found for found in forms if f">{words}</button>" in found[1]]
        sent = dict(re.findall(r'name="([\w-]+)" value="([^"]*)"', form))
        self.page = await self.client.post(path, data=sent, follow_redirects=True)
        return self.page

    @property
    def text(self):
        """The page's HTML."""
        return self.page.text

    @property
    def words(self):
        """The page's text, its tags left out."""
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", self.text)))


def _control(name):
    return re.sub(r"_(unit|from|to|amount|currency)$", r".\1", name)


@dataclass
class Place:
    """A region's console with the studio behind it."""

    url: str
    mesh: Mesh
    stack: AsyncExitStack

    async def marketer(self, name, role="publisher"):
        """A new account, signed in."""
        client = await self.stack.enter_async_context(httpx.AsyncClient(base_url=self.url, timeout=60))
        path = f"/console/join/{await Invitations(self.mesh).create(roles=(role,))}"
        secret = re.search(r'name="csrf" value="(\w+)"', (await client.get(path)).text)[1]
        fields = {"name": name, "email": f"{name.lower()}@example.com", "password": PASSWORD, "csrf": secret}
        assert (await client.post(path, data=fields)).status_code == 303
        return Marketer(client)

    async def changes(self):
        """Every change of the journeys' pages that is on record."""
        found = [one.event async for one in self.mesh.read(ConsoleChanged)]
        return [(one.action, one.subject) for one in found if one.page.startswith("/journeys")]

    async def draft(self, name="abandoned-cart"):
        """The text of the open draft, or None."""
        draft, _ = await read_draft(JOURNEYS, name, self.mesh)
        return draft.files[FILE] if draft else None

    async def in_force(self, name="abandoned-cart"):
        """The document in force."""
        return await self.mesh.state(JOURNEYS.bucket).get(name)


@pytest.fixture
async def place(monkeypatch):
    regions = MemoryMesh("us")
    async with AsyncExitStack() as stack:

        def mesh(name):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            return Mesh(broker, name)

        for kind in (TEMPLATES, JOURNEYS):
            await seed(kind, "", mesh("offers"))
        pages = await stack.enter_async_context(running(studio, mesh("studio"), http=("127.0.0.1", 0)))
        monkeypatch.setenv("CARTMESH_URL_STUDIO", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, mesh("console"), http=("127.0.0.1", 0)))
        yield Place(f"http://127.0.0.1:{run.port}", mesh("tests"), stack)


async def test_a_journey_from_nothing_to_put_back(place):
    """Copied, changed, published, changed again, published again, and the first revision put back."""
    ada = await place.marketer("Ada")

    await ada.open("/journeys")
    secret = re.search(r'name="csrf" value="(\w+)"', ada.text)[1]
    fields = {"csrf": secret, "name": "Frühlings Sale", "copy": "abandoned-cart"}
    ada.page = await ada.client.post("/journeys", data=fields, follow_redirects=True)
    assert ada.page.url.path == "/journeys/fruhlings-sale"
    ada.page = await ada.save(then="review", cap="4", holdout="7.5", minimum_value_amount=["20"], minimum_value_currency=["eur"])
    assert "Offers to one shopper 3 offers 4 offers" in ada.words, ada.words
    await ada.press("Publish in every region")
    first = await place.in_force("fruhlings-sale")
    ada.page = await ada.save(then="review", cap="9")
    assert "Offers to one shopper 4 offers 9 offers" in ada.words, ada.words
    await ada.press("Publish in every region")
    assert "Revision 2 is in force in every region." in ada.words
    await ada.press("Put revision 1 back")

    journey, third = journey_of(first), await place.in_force("fruhlings-sale")
    assert (journey.cap, journey.holdout, journey.minimum_value) == (4, 0.075, ("20 EUR",))
    assert (third.revision, third.files) == (3, first.files)
    assert "# A shopper left a filled cart." in third.files[FILE]
    history = (await ada.open("/journeys/fruhlings-sale/history")).text
    assert [text in ada.words for text in ("Revision 3", "Revision 2", "Revision 1", "in force", "replaced")] == [True] * 5
    assert history.count("Put revision") == 2
    assert await place.changes() == [
        ("create-journey", "journey/fruhlings-sale"),
        ("save-journey-draft", "journey/fruhlings-sale"),
        ("publish-journey", "journey/fruhlings-sale"),
        ("save-journey-draft", "journey/fruhlings-sale"),
        ("publish-journey", "journey/fruhlings-sale"),
        ("revert-journey", "journey/fruhlings-sale"),
    ]
