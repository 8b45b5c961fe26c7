"""The block editor over real HTTP: what its buttons do, what is refused, and blocks that templates share."""

import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from html import unescape
from secrets import token_hex

import pytest
import pytest_asyncio

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import running
from notifications.blocks.block import decode
from notifications.documents.drafts import read_draft
from notifications.documents.publishing import versions
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS
from notifications.studio import service as studio
from notifications.templates.kind import SHARED_BLOCKS, TEMPLATES

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Place:
    """The studio of a region, with whoever comes to its pages."""

    port: int
    mesh: Mesh
    staff: object
    name: str

    async def come(self, role):
        """Somebody with a role, before the pages."""
        person = await self.staff(self.mesh, self.port, role)
        person.page = self.page
        return person

    @property
    def page(self):
        """The page of the test's template."""
        return f"/templates/{self.name}"

    async def begin(self, person, start="blocks:offer", name=""):
        """Create a template of blocks."""
        answer = await person.send("/templates", page="/templates", name=name or self.name, copy=start)
        assert answer.status_code == 303

    async def blocks(self, locale="en"):
        """The blocks of the draft."""
        draft, _ = await read_draft(TEMPLATES, self.name, self.mesh)
        return decode(draft.files[f"{locale}.blocks.json"], "")

    async def in_force(self, name="", kind=TEMPLATES):
        """The document in force, or None."""
        return await self.mesh.state(kind.bucket).get(name or self.name)


@asynccontextmanager
async def opened():
    """The studio of a region of its own: its port, and the region as tests see it."""
    regions = MemoryMesh("us")
    async with AsyncExitStack() as stack:

        def mesh(name):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            return Mesh(broker, name)

        for kind in (TEMPLATES, JOURNEYS):
            await seed(kind, "", mesh("offers"))
        run = await stack.enter_async_context(running(studio, mesh("studio"), http=("127.0.0.1", 0)))
        yield run.port, mesh("tests")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editing():
    """One studio for all tests that publish no shared block."""
    async with opened() as made:
        yield made


@pytest.fixture
def place(editing, staff):
    """That studio, with a template of the test's own."""
    return Place(*editing, staff, f"mail-{token_hex(4)}")


@pytest_asyncio.fixture(loop_scope="module")
async def sharing(staff):
    """A studio of its own: what is shared reaches every template."""
    async with opened() as (port, mesh):
        yield Place(port, mesh, staff, "spring")


async def form(person, page="", locale="en", **typed):
    """The fields of the editor as a browser sends them, in their order, some typed over."""
    text = (await person.get(f"{page or person.page}?locale={locale}")).text
    return fields_of(text[text.index('<form id="editor"') :]) | typed


def fields_of(text):
    """The fields of a part of a page."""
    fields = {
        name: unescape(value)
        for name, value in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', text, re.DOTALL)
    }
    for tag in re.findall(r"<input[^>]*>", text):
        attributes = dict(re.findall(r'([a-z-]+)="([^"]*)"', tag))
        name, kind = attributes.get("name"), attributes.get("type", "text")
        if name is None or kind == "radio" or (kind == "checkbox" and " checked" not in tag):
            continue
        value = unescape(attributes.get("value", ""))
        if name == "block":
            fields.setdefault("block", []).append(value)
        else:
            fields[name] = value
    for name, options in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', text, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        fields[name] = unescape(chosen[1])
    for name in ("added", "add"):
        fields.pop(name, None)
    return fields


def words(answer):
    """The text of a page, its elements left out."""
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.text).split()))


async def send(person, path, fields, page=""):
    """A form sent from a page."""
    return await person.send(path, page=page or person.page, **fields)


async def publish(person, page):
    """Publish the draft that the review shows."""
    review = (await person.get(f"{page}/review")).text
    fields = {name: re.search(rf'name="{name}" value="(\d*)"', review)[1] for name in ("version", "revision")}
    answer = await send(person, f"{page}/publish", fields, f"{page}/review")
    assert answer.status_code == 303, words(answer)


async def test_blocks_are_added_moved_and_removed_without_a_script(place):
    """Each button saves the draft; a block moves into columns and out of them; what is typed is kept."""
    person = await place.come("marketer")
    await place.begin(person, "blocks:empty")

    for kind, where in (("heading", "end"), ("columns", "end"), ("button", "above b1"), ("image", "in b2 1")):
        fields = await form(person, **{"do": "add", "add-type": kind, "add-where": where})
        assert (await send(person, f"{place.page}/draft", fields)).status_code == 303
    built = [type(one).__name__ for one in await place.blocks()]
    in_columns = [type(one).__name__ for one in (await place.blocks())[2].columns[1]]
    typed = await form(person, **{"do": "down b1", "b1.text": "Typed & kept"})
    await send(person, f"{place.page}/draft", typed)
    moved = (await place.blocks())[1].columns[0][0]
    await send(person, f"{place.page}/draft", await form(person, do="up b1"))
    back = [one.id for one in await place.blocks()]
    await send(person, f"{place.page}/draft", await form(person, do="remove b2"))

    assert built == ["Button", "Heading", "Columns"]
    assert in_columns == ["Paragraphs", "Image"]
    assert (moved.id, moved.text) == ("b1", "Typed & kept")
    assert back == [(await place.blocks())[0].id, "b1", "b2"]
    assert [type(one).__name__ for one in await place.blocks()] == ["Button", "Heading"]


async def test_the_list_is_changed_before_it_is_saved_where_there_is_a_script(place):
    """The part of the page comes back, says what was done and where to go on; nothing is stored."""
    person = await place.come("marketer")
    await place.begin(person)
    before = await place.blocks()

    added = await send(person, f"{place.page}/blocks", await form(person, **{"do": "add", "add-type": "button"}))
    removed = await send(person, f"{place.page}/blocks", await form(person, do="remove b2"))

    assert 'data-focus="text-b10.text" data-said="Added: 10. Button' in added.text
    assert ("b2.text" in removed.text, "b3.text" in removed.text) == (False, True)
    assert await place.blocks() == before


async def test_what_is_wrong_names_its_block(place):
    """A variable, a link, a picture, a colour; the draft is saved unless it cannot be."""
    person = await place.come("marketer")
    await place.begin(person)
    fields = await form(person, **{"do": "add", "add-type": "image"})
    await send(person, f"{place.page}/draft", fields)

    async def found(**typed):
        return words(await send(person, f"{place.page}/preview", await form(person, **typed)))

    assert "2. Heading, words, line 1 : 'custmer' is undefined" in await found(**{"b2.text": "{{ custmer }}"})
    assert "Did you mean customer?" in await found(**{"b2.text": "{{ custmer }}"})
    assert "6. Button, link : It leads nowhere" in await found(**{"b6.href": "{{ shop.name }}"})
    assert "6. Button, link : The link “javascript:x” leads nowhere" in await found(**{"b6.href": "javascript:x"})
    assert "10. Picture, what it shows : A picture has no text" in await found()
    assert "There is no link to unsubscribe" in await found(**{"b9.text": "Bye"})
    colour = await send(person, f"{place.page}/draft", await form(person, **{"b6.colour": 'red" onclick="x'}))
    long = await send(person, f"{place.page}/draft", await form(person, **{"b3.text": "x" * 1_000_000}))
    assert (colour.status_code, "is no colour" in words(colour)) == (422, True)
    assert long.status_code == 422
    assert "1,000,000 characters" in words(long) or "more than the 262,144" in words(long)


async def test_forms_that_no_page_sends_are_refused(place):
    """Unknown types, ids and places of blocks; a viewer changes nothing."""
    person, viewer = await place.come("marketer"), await place.come("viewer")
    await place.begin(person)
    fields = await form(person)
    wrong = (
        ["b1 nothing"],
        ["x1 text"],
        ["b1 text", "b1 text"],
        ["b1 columns", "b1 column", "b2 header", "b1 end"],
        ["b1 columns"],
        ["b1 end"],
        [f"b{n} text" for n in range(200)],
    )

    answers = [await send(person, f"{place.page}/draft", {**fields, "block": one}) for one in wrong]
    refused = [await send(viewer, f"{place.page}/{path}", fields) for path in ("draft", "blocks")]

    assert [one.status_code for one in answers] == [422] * len(wrong)
    assert [one.status_code for one in refused] == [403, 403]


async def test_the_second_of_two_people_is_shown_the_difference_in_words(place):
    """What the first one changed in the same language; nothing is overwritten."""
    ada, bea = await place.come("marketer"), await place.come("marketer")
    await place.begin(ada)
    hers, theirs = await form(ada, **{"b6.text": "Ada's"}), await form(bea, **{"do": "up b3", "b6.text": "Bea's"})

    await send(bea, f"{place.page}/draft", theirs)
    conflict = await send(ada, f"{place.page}/draft", hers)

    assert conflict.status_code == 409
    assert "6. Button: words was “Bea's”, is “Ada's”." in words(conflict)
    assert 'value="Ada&#39;s"' in conflict.text
    assert (await place.blocks())[5].text == "Bea's"


async def test_a_language_begins_as_a_copy_with_its_blocks(place):
    """And is removed with them."""
    person = await place.come("marketer")
    await place.begin(person)

    await send(person, f"{place.page}/languages", {"locale": "en", "added": "de"})
    german = await place.blocks(locale="de")
    await send(person, f"{place.page}/languages/remove", {"locale": "en"})

    draft, _ = await read_draft(TEMPLATES, place.name, place.mesh)
    assert len(german) == 9
    assert sorted(draft.files) == ["de.blocks.json", "de.mjml.j2"]


async def test_blocks_become_code_that_says_the_same(place):
    """One way; the history has the blocks; the mail stays as it was."""
    person = await place.come("marketer")
    await place.begin(person)
    fields = await form(person, **{"b2.text": "5 < 6 & {{ customer.name }}"})
    before = (await send(person, f"{place.page}/frame", fields)).text

    answer = await send(person, f"{place.page}/draft", {**fields, "then": "code"})

    draft, _ = await read_draft(TEMPLATES, place.name, place.mesh)
    after = (await person.get(f"{place.page}/frame?locale=en")).text
    assert (answer.headers["location"], sorted(draft.files)) == (f"{place.page}?locale=en&done=coded", ["en.mjml.j2"])
    assert "".join(after.split()) == "".join(before.split())
    assert "5 &lt; 6 &amp; Ada" in after


async def test_a_shared_block_is_published_once_for_all_templates_that_contain_it(sharing):
    """Each gets a next revision; the earlier one stays whole; drafts have it too; the page says who contains it."""
    person = await sharing.come("publisher")
    await person.send("/blocks", page="/blocks", name="foot", copy="footer")
    await publish(person, "/blocks/foot")
    for name in ("spring", "autumn"):
        await sharing.begin(person, name=name)
        page = f"/templates/{name}"
        fields = await form(person, page, do="remove b9")
        await send(person, f"{page}/draft", fields, page)
        fields = await form(person, page, **{"do": "add", "add-type": "shared foot"})
        await send(person, f"{page}/draft", fields, page)
    await publish(person, "/templates/spring")
    first = await sharing.in_force()

    fields = await form(person, "/blocks/foot", **{"b1.text": "New foot [stop]({{ unsubscribe_url }})"})
    await send(person, "/blocks/foot/draft", fields, "/blocks/foot")
    review = words(await person.get("/blocks/foot/review"))
    await publish(person, "/blocks/foot")

    second = await sharing.in_force()
    history = words(await person.get(f"{sharing.page}/history?revision=2"))
    listed = words(await person.get("/blocks"))
    draft, _ = await read_draft(TEMPLATES, "autumn", sharing.mesh)
    assert "1. Foot of the page: words was" in review
    assert (first.revision, second.revision) == (1, 2)
    assert "No more e-mails like this" in first.files["shared/foot/en.blocks.json"]
    assert (
        second.files["shared/foot/en.blocks.json"]
        == (await sharing.in_force("foot", SHARED_BLOCKS)).files["en.blocks.json"]
    )
    assert [one.document.files for one in await versions(TEMPLATES, "spring", sharing.mesh)] == [
        second.files,
        first.files,
    ]
    assert "New foot" in draft.files["shared/foot/en.blocks.json"]
    assert "Shared block foot" in history
    assert "autumn , spring" in listed
    assert "New foot" in (await person.get(f"{sharing.page}/frame?locale=en")).text


async def test_the_brand_is_in_all_mails_of_blocks(sharing):
    """Its colours and font, defined once; templates of code do not have it; what is no colour is refused."""
    person = await sharing.come("publisher")
    await sharing.begin(person)
    await publish(person, sharing.page)
    code = await sharing.in_force("abandoned-cart")

    await person.send("/blocks", page="/blocks", name="", copy="brand")
    fields = await form(person, "/blocks/brand", **{"brand.button": "#0055aa", "brand.font": "Georgia, serif"})
    wrong = await send(person, "/blocks/brand/draft", {**fields, "brand.font": 'x" onload="y'}, "/blocks/brand")
    await send(person, "/blocks/brand/draft", fields, "/blocks/brand")
    await publish(person, "/blocks/brand")

    mail = (await person.get(f"{sharing.page}/frame?locale=en")).text
    assert (wrong.status_code, "font: letters" in words(wrong)) == (422, True)
    assert ("#0055aa" in mail, "Georgia, serif" in mail) == (True, True)
    assert await sharing.in_force("abandoned-cart") == code


async def test_a_template_that_cannot_take_a_shared_block_stays_as_it_is_and_is_named(sharing):
    """An order mail knows no cart: the others get the block, the page says which did not."""
    person = await sharing.come("publisher")
    await person.send("/blocks", page="/blocks", name="note", copy="banner")
    await publish(person, "/blocks/note")
    for name, start in (("spring", "blocks:offer"), ("parcel", "blocks:order")):
        await sharing.begin(person, start, name)
        page = f"/templates/{name}"
        await send(person, f"{page}/draft", await form(person, page, **{"do": "add", "add-type": "shared note"}), page)
        await publish(person, page)

    fields = await form(person, "/blocks/note", **{"b1.text": "{{ cart_url }}"})
    await send(person, "/blocks/note/draft", fields, "/blocks/note")
    await publish(person, "/blocks/note")
    listed = words(await person.get("/blocks"))
    again = await send(person, "/blocks/note/apply", {}, "/blocks")

    assert [(await sharing.in_force(name)).revision for name in ("spring", "parcel")] == [2, 1]
    assert "An earlier state is in parcel." in listed
    assert (again.status_code, "parcel stays as it is" in words(again)) == (422, True)
    assert "'cart_url' is undefined" in words(again)
