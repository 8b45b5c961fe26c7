"""The pages of journeys over HTTP: what a form saves, who may do what, who was quicker, what is put on record."""

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx
import pytest
from msgspec.structs import replace

from mesh import Mesh
from mesh.events.console import ConsoleChanged
from mesh.runtime.run import running
from mesh.web.accounts import ACCOUNTS, Account
from mesh.web.sessions import Sessions
from notifications.documents.drafts import read_draft
from notifications.documents.publishing import publish
from notifications.documents.seeding import seed
from notifications.journeys.kind import FILE, JOURNEYS, journey_of
from notifications.journeys.starts import STARTS
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from tests.journey_form import Fields

CART = "/journeys/abandoned-cart"


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
        theirs = re.search(r'form="journey" name="theirs" value="(\d+)"', self.text)
        sent |= {"then": [then], "theirs": [theirs[1] if theirs else ""]}
        if htmx:
            return await self.client.post(path, data=sent, headers={"HX-Request": "true"})
        self.page = await self.client.post(path, data=sent, follow_redirects=True)
        return self.page

    async def post(self, path, **fields):
        """Send fields as a form of the page that is open would."""
        secret = re.search(r'name="csrf" value="(\w+)"', self.text)[1]
        self.page = await self.client.post(path, data={"csrf": secret, **fields}, follow_redirects=True)
        return self.page

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
    """A region's studio."""

    url: str
    mesh: Mesh
    stack: AsyncExitStack

    async def marketer(self, name, role="publisher"):
        """A new account, signed in."""
        account = Account(id=name, email=f"{name}@example.com", name=name, roles=(role,), created=datetime.now(UTC))
        await self.mesh.state(ACCOUNTS).put(account.id, account)
        token = await Sessions(self.mesh).begin(account.id, agent="test", lasting=timedelta(hours=1))
        cookies = {f"cartmesh-{self.mesh.region}-session": token}
        client = httpx.AsyncClient(base_url=self.url, cookies=cookies, headers={"Accept": "text/html"}, timeout=120)
        return Marketer(await self.stack.enter_async_context(client))

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
def two_people(monkeypatch):
    """Drafts are published only once two people have seen them."""
    monkeypatch.setenv("CARTMESH_REVIEW_REQUIRED", "journeys,templates")


@pytest.fixture
async def place(regions):
    async with AsyncExitStack() as stack:
        meshes = []
        for name in ("studio", "tests"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes.append(Mesh(broker, name, others=("eu",)))
        for kind in (TEMPLATES, JOURNEYS):
            await seed(kind, "", meshes[1])
        run = await stack.enter_async_context(running(studio, meshes[0], http=("127.0.0.1", 0)))
        yield Place(f"http://127.0.0.1:{run.port}", meshes[1], stack)


async def test_a_journey_from_nothing_to_put_back(place):
    """Copied, changed, published, changed again, published again, and the first revision put back."""
    ada = await place.marketer("Ada")

    await ada.open("/journeys")
    await ada.post("/journeys", name="Frühlings Sale", copy="abandoned-cart")
    assert ada.page.url.path == "/journeys/fruhlings-sale"
    await ada.save(then="review", cap="4", holdout="7.5", minimum_value_amount=["20"], minimum_value_currency=["eur"])
    assert "Offers to one shopper 3 offers 4 offers" in ada.words, ada.words
    await ada.press("Publish in every region")
    first = await place.in_force("fruhlings-sale")
    await ada.save(then="review", cap="9")
    assert "Offers to one shopper 4 offers 9 offers" in ada.words, ada.words
    await ada.press("Publish in every region")
    assert "Revision 2 is published: in force here now" in ada.words
    await ada.press("Undo: put revision 1 back")

    journey, third = journey_of(first), await place.in_force("fruhlings-sale")
    assert (journey.cap, journey.holdout, journey.minimum_value) == (4, 0.075, ("20 EUR",))
    assert (third.revision, third.files) == (3, first.files)
    assert "# A shopper left a filled cart." in third.files[FILE]
    history = (await ada.open("/journeys/fruhlings-sale/history")).text
    assert [text in ada.words for text in ("Revision 3", "Revision 2", "Revision 1", "in force", "replaced")] == [
        True
    ] * 5
    assert history.count("Put revision") == 2
    assert await place.changes() == [
        ("create-journey", "journey/fruhlings-sale"),
        ("save-journey-draft", "journey/fruhlings-sale"),
        ("publish-journey", "journey/fruhlings-sale"),
        ("save-journey-draft", "journey/fruhlings-sale"),
        ("publish-journey", "journey/fruhlings-sale"),
        ("revert-journey", "journey/fruhlings-sale"),
    ]


async def test_a_new_journey_begins_as_a_ready_one(place):
    """Abandoned checkouts: its draft says whom it is for, and is published as it is. A start that there is not: 422."""
    ada = await place.marketer("Ada")
    await ada.open("/journeys")
    unknown = await ada.post("/journeys", name="x", copy="start:nothing")
    await ada.open("/journeys")
    await ada.post("/journeys", name="At the till", copy="start:checkout-abandoned")
    assert "Only where the checkout was begun with this cart." in ada.words
    await ada.open("/journeys/at-the-till/review")
    await ada.press("Publish in every region")

    made = journey_of(await place.in_force("at-the-till"))
    assert (made.priority, [one.name for one in made.steps]) == (10, ["reminder", "offer"])
    assert unknown.status_code == 422


async def test_what_did_not_change_is_saved_as_it_was_written(place):
    """Every comment stays; the form that was opened and saved makes no draft at all."""
    ada = await place.marketer("Ada", "marketer")
    shipped = (await place.in_force()).files[FILE]

    await ada.open(CART)
    await ada.save()
    untouched = await place.draft()
    await ada.save(cap="5", max_discount_amount=["50", "7.50"], max_discount_currency=["EUR", "CHF"])

    assert untouched is None
    expected = shipped.replace("cap = 3", "cap = 5")
    expected = expected.replace('["50 EUR", "50 USD", "50 GBP", "8000 JPY"]', '["50 EUR", "7.50 CHF"]')
    assert await place.draft() == expected


async def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(place):
    """Each wrong field in words; the draft is as it was; also where htmx saves."""
    ada = await place.marketer("Ada", "marketer")
    await ada.open(CART)

    typed = {"cap": "many", "discount_depths": "5, ten", "max_discount_amount": ["x"], "max_discount_currency": ["EUR"]}
    part = await ada.save(htmx=True, **typed)
    page = await ada.save(**typed)
    deep = await ada.save(cap="4", discount_depths="5, 50", max_discount_amount=["50"], max_discount_currency=["EUR"])

    for answer in (part, page):
        assert answer.status_code == 422
        assert _wrong(answer.text) == {
            "cap": "write a whole number, such as 10",
            "discount_depths": "'ten' is no whole number: write them like 0, 5, 10, 15",
            "max_discount": "amount 'x EUR': write it like 20 EUR",
        }
    assert "<html" not in part.text
    assert 'value="many"' in page.text
    assert 'value="5, ten"' in page.text
    assert _wrong(deep.text) == {"discount_depths": "50 is not from 0 to Deepest discount = 20"}
    assert await place.draft() is None
    assert await place.changes() == []


async def test_two_people_in_one_draft_see_each_other(place):
    """The second is shown who saved and all three texts; merging keeps the changes of both."""
    ada, grace = await place.marketer("Ada", "marketer"), await place.marketer("Grace", "marketer")
    await ada.open(CART)
    await grace.open(CART)
    await grace.save(cap="5", holdout="10", max_discount_amount=["30"], max_discount_currency=["EUR"])

    part = await ada.save(htmx=True, cap="7", priority="2")
    await ada.save(cap="7", priority="2")
    refused, words, draft = ada.page.status_code, ada.words, await place.draft()
    await ada.save(then="merge")

    assert (part.status_code, refused) == (409, 409)
    assert "Grace saved this draft at" in words
    assert "Offers to one shopper changed by both 3 offers 5 offers 7 offers" in words
    assert "Held out 0 % 10 % 0 %" in words
    assert "Largest discount 50 EUR, 50 USD, 50 GBP, 8000 JPY 30 EUR 50 EUR, 50 USD, 50 GBP, 8000 JPY" in words
    assert "Cost of a contact 0.01 EUR" not in words
    assert "cap = 5" in draft
    assert ada.page.url.path == CART
    journey = journey_of(await _as_document(place))
    assert (journey.cap, journey.priority, journey.holdout, journey.max_discount) == (7, 2, 0.1, ("30 EUR",))


async def test_a_form_that_was_opened_before_somebody_published_is_not_saved_over_it(place):
    """Also where there is no draft: the revision that the form was made from is not in force any more."""
    ada = await place.marketer("Ada", "marketer")
    await ada.open(CART)
    shipped = (await place.in_force()).files[FILE]
    await publish(JOURNEYS, "abandoned-cart", {FILE: shipped.replace("cap = 3", "cap = 8")}, "grace", place.mesh)

    await ada.save(priority="2")
    refused, saved = ada.page.status_code, await place.draft()
    await ada.save(then="merge")

    assert (refused, saved) == (409, None)
    journey = journey_of(await _as_document(place))
    assert (journey.cap, journey.priority) == (8, 2)


async def test_a_draft_that_is_behind_is_compared_before_it_is_published(place):
    """What was published meanwhile is shown beside the draft, and stays where the draft did not change it."""
    ada = await place.marketer("Ada")
    await ada.open(CART)
    shipped = (await place.in_force()).files[FILE]
    await ada.save(then="review", priority="2")
    await publish(JOURNEYS, "abandoned-cart", {FILE: shipped.replace("cap = 3", "cap = 8")}, "grace", place.mesh)

    await ada.press("Publish in every region")
    refused, words = ada.page.status_code, ada.words
    await ada.press("Put the draft on top of what is in force")
    await ada.press("Publish in every region")

    assert refused == 409
    assert "Not published: somebody was quicker" in words
    assert "Revision 1 by grace was published since this draft was begun" in words
    in_force = await place.in_force()
    journey = journey_of(in_force)
    assert (in_force.revision, journey.cap, journey.priority) == (2, 8, 2)


async def test_a_discarded_draft_comes_back(place):
    """What was typed is there again, until somebody saves another draft."""
    ada = await place.marketer("Ada", "marketer")
    await ada.open(CART)
    await ada.save(cap="5")
    saved = await place.draft()

    version = re.search(r'name="version" value="(\d+)"', ada.text)[1]
    await ada.post(f"{CART}/discard", version=version)
    discarded, words = await place.draft(), ada.words
    await ada.press("Undo")

    assert (discarded, "The draft of abandoned-cart is discarded." in words) == (None, True)
    assert await place.draft() == saved
    assert "The draft is open again." in ada.words
    again = await ada.post(f"{CART}/restore", version=version)
    assert again.status_code == 409


async def test_a_journey_is_turned_off_from_the_list_and_on_again(place):
    """The next revision differs in that alone, and undoing it is one press of a button."""
    ada = await place.marketer("Ada")
    shipped = (await place.in_force()).files[FILE]

    await ada.open("/journeys")
    await ada.press("Turn off")
    off, words = await place.in_force(), ada.words
    await ada.press("Undo: put revision 0 back")

    assert (journey_of(off).active, off.files[FILE]) == (False, shipped + "active = false\n")
    assert "abandoned-cart is off: revision 1 is published" in words
    assert (await place.in_force()).files[FILE] == shipped


async def test_a_journey_is_on_in_the_regions_that_are_ticked(place):
    """The list says where; none ticked is every region; a region that there is not is refused with the nearest name."""
    ada = await place.marketer("Ada")
    await ada.open(CART)
    boxes = re.findall(r'<input type="checkbox" name="regions" value="(\w+)"( checked)?>', ada.text)
    await ada.save(then="review", regions=["eu"])
    assert "On in every region eu" in ada.words, ada.words
    await ada.press("Publish in every region")
    listed = (await ada.open("/journeys"), ada.words)[1]
    shipped = (await place.in_force()).files[FILE]
    text = shipped.replace('regions = ["eu"]', 'regions = ["uss", "eu"]')
    api = "/documents/v1/journeys/abandoned-cart"
    wrong = await ada.client.put(
        f"{api}/draft",
        json={"version": (await ada.client.get(api)).json()["draft_version"], "files": {FILE: text}},
        headers={"X-CSRF-Token": re.search(r'name="csrf" value="(\w+)"', ada.text)[1]},
    )
    await publish(JOURNEYS, "abandoned-cart", {FILE: text + "active = false\n"}, "grace", place.mesh)

    assert boxes == [("eu", ""), ("us", "")]
    assert journey_of(await place.in_force()).regions == ("uss", "eu")
    assert (" on Turn off in eu " in listed, "Only in eu." in (await ada.open(CART), ada.words)[1]) == (True, False)
    assert (wrong.status_code, "there is no region uss; did you mean us?" in wrong.text) == (422, True), wrong.text


async def test_a_second_person_looks_at_a_draft_before_it_is_published(two_people, place):
    """Asked for, sent back, changed, approved, published; turning off and putting back are one person's."""
    ada, grace = await place.marketer("Ada"), await place.marketer("Grace")
    await ada.open(CART)
    await ada.save(then="review", cap="4")
    assert "Publish in every region" not in ada.text
    version = re.search(r'/ask">.*?name="version" value="(\d+)"', ada.text, re.DOTALL)[1]
    await ada.post(f"{CART}/ask", version=version, comment="For spring")
    listed = (await grace.open("/journeys"), grace.words)[1]
    await grace.open(f"{CART}/review")
    assert "Offers to one shopper 3 offers 4 offers" in grace.words
    await grace.post(f"{CART}/send-back", version=version, comment="Four is too many")
    told = (await ada.open(f"{CART}/review"), ada.words)[1]
    unseen = await ada.post(f"{CART}/publish", version=version, expected="0")

    await ada.open(CART)
    await ada.save(then="review", cap="2")
    late = await grace.post(f"{CART}/approve", version=version)
    await grace.open(f"{CART}/review")
    version = re.search(r'/approve">.*?name="version" value="(\d+)"', grace.text, re.DOTALL)[1]
    await grace.post(f"{CART}/approve", version=version)
    await ada.open(f"{CART}/review")
    await ada.press("Publish in every region")
    published = await place.in_force()
    await ada.open("/journeys")
    await ada.press("Turn off")
    off = await place.in_force()
    turned_on = await ada.post(f"{CART}/switch", active="on", expected="2")
    await ada.open("/journeys")

    assert "Ada asks for review" in listed
    assert ("Grace sent this back" in told, "Four is too many" in told) == (True, True)
    assert (unseen.status_code, late.status_code, turned_on.status_code) == (409, 409, 409)
    assert "You changed the draft" in unseen.text or "you changed the draft" in unseen.text
    assert (journey_of(published).cap, published.author, journey_of(off).active) == (2, "Ada", False)
    assert "Turn on" not in ada.words


async def test_nobody_puts_back_or_switches_what_they_have_not_seen(place):
    """A page that was opened before somebody published is refused; what is in force stays."""
    ada, shipped = await place.marketer("Ada"), (await place.in_force()).files[FILE]
    for cap in (5, 6):
        files = {FILE: shipped.replace("cap = 3", f"cap = {cap}")}
        await publish(JOURNEYS, "abandoned-cart", files, "grace", place.mesh)
    await ada.open("/journeys")

    back = await ada.post(f"{CART}/revert", revision="1", expected="1")
    switched = await ada.post(f"{CART}/switch", active="off", expected="1")
    missing = await ada.post(f"{CART}/revert", revision="9", expected="2")
    lost = await ada.post(f"{CART}/revert", revision="1", region="eu", expected="2")

    assert [answer.status_code for answer in (back, switched, missing, lost)] == [409, 409, 404, 404]
    assert "revision 2 by grace" in back.text
    assert "look at it, then do it again" in back.text
    assert (await place.in_force()).revision == 2
    assert await place.changes() == []


async def test_the_text_is_the_same_draft(place):
    """Saved as the form is; what is wrong names the line, or the field."""
    ada = await place.marketer("Ada", "marketer")
    shipped = (await place.in_force()).files[FILE]
    await ada.open(f"{CART}/text")
    seen = {"version": "0", "revision": "0"}

    await ada.post(f"{CART}/text", text=shipped.replace("cap = 3", "cap =\r\n"), **seen)
    broken = _wrong(ada.text)["text"]
    await ada.post(f"{CART}/text", text=shipped.replace("cap = 3", "cap = -1"), **seen)
    negative = _wrong(ada.text)["text"]
    await ada.post(f"{CART}/text", text=shipped.replace("cap = 3", "cap = 6").replace("\n", "\r\n"), **seen)
    saved, path = await place.draft(), ada.page.url.path
    await ada.open(f"{CART}/text")
    late = await ada.post(f"{CART}/text", text=shipped.replace("cap = 3", "cap = 9"), **seen)

    assert "line 18" in broken
    assert negative == "cap (Offers to one shopper): 0 or more"
    assert (saved, path) == (shipped.replace("cap = 3", "cap = 6"), CART)
    assert (late.status_code, "-cap = 6" in late.text, "+cap = 9" in late.text) == (409, True, True)


@pytest.mark.parametrize(("role", "may"), [("viewer", (403, 403, 403)), ("marketer", (200, 403, 403))])
async def test_a_role_is_enough_for_its_part(place, role, may):
    """Viewers look, marketers save; only publishers publish. Who may not sees no button for it."""
    ada = await place.marketer("Ada", role)
    await ada.open(CART)
    editor = ada.text

    saved = (await ada.save(cap="5")).status_code
    await ada.open("/journeys")
    listed = ada.text
    published = await ada.post(f"{CART}/publish", version="1", expected="0")
    await ada.open("/journeys")
    switched = await ada.post(f"{CART}/switch", active="off", expected="0")

    assert (saved, published.status_code, switched.status_code) == may
    assert ("Compare and publish</button>" in editor) == (role == "marketer")
    assert ("Create draft" in listed) == (role == "marketer")
    assert "Turn off" not in listed
    assert (await place.in_force()).revision == 0


async def test_what_there_is_not_is_said(place):
    """A name that is taken, one that is none, a journey that there is not."""
    ada = await place.marketer("Ada", "marketer")
    await ada.open("/journeys")

    taken = await ada.post("/journeys", name="Abandoned cart", copy="abandoned-cart")
    words = _wrong(taken.text)["name"]
    empty = await ada.post("/journeys", name="!", copy="abandoned-cart")
    other = await ada.post("/journeys", name="sale", copy="nothing")
    missing = await ada.client.get("/journeys/abandoned-car")

    assert (taken.status_code, words) == (409, "There is a journey abandoned-cart already. Choose another name.")
    assert (empty.status_code, "lower-case words" in _wrong(empty.text)["name"]) == (422, True)
    assert (other.status_code, _wrong(other.text)["copy"]) == (422, "Choose the journey to begin with.")
    assert (missing.status_code, "did you mean abandoned-cart?" in missing.text) == (404, True)


async def test_what_no_page_sends_is_refused_in_words(place):
    """Numbers that are none, a text that is none, and an address in a link that would lead a button elsewhere."""
    ada = await place.marketer("Ada", "marketer")
    await ada.open(CART)
    version = {"version": "9" * 5000, "revision": "-"}

    odd = [
        await ada.post(f"{CART}/draft", base="", cap="9" * 5000, **version),
        await ada.post(f"{CART}/draft", base="nonsense", then="merge", theirs="0"),
        await ada.post(f"{CART}/text", text="[", **version),
        await ada.post(f"{CART}/discard", **version),
        await ada.post(f"{CART}/restore", **version),
        await ada.post(f"{CART}/rebase", **version),
    ]
    await ada.open("/journeys?discarded=../console/account/end%3F&version=1")

    assert [answer.status_code for answer in odd] == [422, 422, 409, 404, 404, 409]
    assert "is discarded" not in ada.words
    assert await place.draft() is None


async def test_a_region_without_journeys_says_where_the_first_one_comes_from(place):
    """There is nothing to copy; a ready one may be begun."""
    ada = await place.marketer("Ada", "marketer")
    await place.mesh.state(JOURNEYS.bucket).delete("abandoned-cart")

    await ada.open("/journeys")

    assert "There is no journey in this region yet." in ada.words
    assert re.findall(r'<option value="([^"]+)"', ada.text) == [f"start:{one}" for one in STARTS]


def _wrong(page):
    """What is wrong by field, as it stands beside the fields."""
    found = re.findall(r'<p class="wrong" id="wrong-(\w+)"[^>]*>([^<]+)</p>', page)
    return {name: unescape(words) for name, words in found}


async def _as_document(place):
    """The draft as the document that it would become."""
    return replace(await place.in_force(), files={FILE: await place.draft()})


async def test_what_the_environment_sets_is_shown_and_not_changed(place, monkeypatch):
    """It says by which variable, and what the journey itself says; other changes are saved without it."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CAP", "5")
    ada = await place.marketer("ada")

    await ada.open(CART)
    shown = ada.words
    field = re.search(r'<fieldset class="overridden" disabled>(.*?)</fieldset>', ada.text, re.DOTALL)[1]
    await ada.save(priority=["3"], cap=["9"])

    assert "Your administrator has set this for all journeys. CARTMESH_JOURNEY_CAP" in shown
    assert "This journey itself says: 3 offers." in shown
    assert "At most 5 offers a week to one shopper" in shown
    assert re.search(r'<input id="cap" name="cap" value="5"', field)
    assert "priority = 3" in await place.draft()
    assert not re.search(r"^cap = [59]", await place.draft(), re.MULTILINE)


TEST = """template = "abandoned-cart"
[[steps]]
name = "reminder"
after = "1h"
channels = ["email"]
discount_percent = 0
[[steps]]
name = "offer"
after = "1d"
channels = ["email"]
variants = [{ name = "a", share = 50, discount_percent = 10 }, { name = "b", share = 50, discount_percent = 15 }]
"""


async def test_a_test_is_listed_as_soon_as_it_is_published(place):
    """With what is tried, how many shoppers it has of those it needs, and since when; until it has a winner."""
    ada = await place.marketer("Ada")
    nothing = (await ada.open("/experiments")).text
    await publish(JOURNEYS, "spring", {FILE: TEST}, "Ada", place.mesh)

    await ada.open("/experiments")
    said = ada.words
    await ada.open("/experiments/spring")
    alone = ada.words
    await ada.open("/journeys/spring?done=published")
    banner = re.search(r'role="status"><p>Revision.*?</div>', ada.text, re.DOTALL)[0]
    await ada.open("/journeys")
    listed = ada.words
    await publish(JOURNEYS, "spring", {FILE: TEST + 'winner = "b"\n'}, "Ada", place.mesh)
    await ada.open("/experiments")

    assert "Nothing is measured yet" in nothing
    assert "spring, offer : a against b, 0 of 200 shoppers each, started today" in said
    assert "spring, offer : a against b" in alone
    assert '<a href="/experiments/spring">See how the test goes</a>' in banner
    assert "1 day later: e-mail, 10 % off (half) or 15 % off (half). Test in offer : a against b" in listed
    assert "a against b" not in ada.words


async def test_a_test_whose_variants_are_the_same_is_said_to_tell_nothing(place):
    """Before it is published, and no more once they differ; mails without a postal address are warned of there, too."""
    ada = await place.marketer("Ada")
    await ada.open("/journeys")
    await ada.post("/journeys", name="pair", copy="start:reminder-then-discount")

    await ada.save(step_edit="variant:1")
    same = (await ada.open("/journeys/pair/review")).text
    await ada.open("/journeys/pair")
    await ada.save(then="review", **{"steps.offers": ["", "own"], "steps.percent": ["10", "15"]})

    assert "<b>a and b of discount are the same</b>" in same
    assert "are the same" not in ada.text
    assert "they name no postal address" in ada.words
    assert "10 % off (half) or 15 % off (half)" in ada.words


async def test_a_journey_sends_only_mails_that_are_offers(place):
    """Nobody can choose a mail about an order, or the one that asks whether an address is right."""
    ada = await place.marketer("Ada")
    await publish(JOURNEYS, "spring", {FILE: TEST}, "Ada", place.mesh)

    await ada.open("/journeys/spring")
    offered = re.search(r'<select id="step-template-0".*?</select>', ada.text)[0]

    assert "win-back" in offered
    assert "order-" not in offered
    assert "confirm-address" not in offered
    assert 'href="/templates/abandoned-cart">Edit or preview abandoned-cart</a>' in ada.text


async def test_few_settings_are_shown_and_those_that_were_changed_unfolded(place):
    """What is as it comes is folded; what somebody changed, or what is wrong, is not."""
    ada = await place.marketer("Ada")

    await ada.open(CART)
    first = _unfolded(ada.text)
    wrong = await ada.save(code_list="no such list", holdout="x")
    await ada.open(CART)
    await ada.save(quiet_from="21:00")

    assert first == []
    assert "Experiment" in _unfolded(wrong.text)
    assert _unfolded(ada.text) == ["How often and when"]


def _unfolded(page):
    """The titles of the sections that are folded and open."""
    return re.findall(r'<details class="panel more" open>\s*<summary><h2[^>]*>([^<]+)<', page)


async def test_a_draft_of_a_running_journey_says_what_shoppers_still_get(place):
    """So that nobody thinks that saving is publishing; a new one says that it sends nothing."""
    ada = await place.marketer("Ada")
    await ada.open(CART)
    await ada.save(cap="4")
    of_running = ada.words
    await ada.open("/journeys")
    listed = ada.words
    await ada.post("/journeys", name="new", copy="start:win-back")

    assert re.search(r"Draft saved \d\d:\d\d UTC by Ada. Shoppers still get revision 0.", of_running)
    assert "Shoppers get nothing of it until it is published." in ada.words
    assert "abandoned-cart comes with Cartmesh and is on from the start." in listed
