"""The document API over real HTTP: who may do what, what is refused in which words, and what is put on record."""

import asyncio
import re
import shlex
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.console import ConsoleChanged
from mesh.events.journey import JourneyPublished
from mesh.runtime.run import running
from mesh.web.accounts import Accounts
from mesh.web.invitations import Invitations
from notifications.blocks.beginnings import shared_start, start
from notifications.blocks.block import Heading, Shared, encode
from notifications.blocks.sharing import with_shared
from notifications.documents.publishing import publish
from notifications.documents.seeding import seed
from notifications.journeys.kind import FILE, JOURNEYS
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from services import console

README = Path(__file__).parents[2] / "notifications" / "README.md"
SALE = "/documents/v1/journeys/sale"
PASSWORD = "correct horse battery staple"


def journey(cap):
    """The texts of a journey."""
    return {FILE: f'template = "abandoned-cart"\ncap = {cap}\n'}


@dataclass
class Place:
    """A region's console with the document API behind it."""

    url: str
    mesh: Mesh
    regions: MemoryMesh
    stack: AsyncExitStack
    signed_in: object

    async def script(self, role):
        """A script with an API token of a new account."""
        client = httpx.AsyncClient(base_url=self.url, headers=await self.signed_in(self.mesh, role), timeout=60)
        return await self.stack.enter_async_context(client)

    async def browser(self, role):
        """A browser that is signed in with a new account."""
        client = await self.stack.enter_async_context(httpx.AsyncClient(base_url=self.url, timeout=60))
        path = f"/console/join/{await Invitations(self.mesh).create(roles=(role,))}"
        page = (await client.get(path)).text
        fields = {"name": "Ada", "email": f"{role}@example.com", "password": PASSWORD}
        answer = await client.post(path, data={**fields, "csrf": csrf(page)})
        assert answer.status_code == 303, answer.text
        return client

    async def sale(self, *caps):
        """The journey `sale`, published once with each cap."""
        for cap in caps:
            await publish(JOURNEYS, "sale", journey(cap), "ada", self.mesh)

    async def changes(self):
        """Every audit event: what was done, to what, with which facts."""
        found = [one.event async for one in self.mesh.read(ConsoleChanged)]
        return [(one.action, one.subject, one.details) for one in found if one.page.startswith("/documents")]


def csrf(page):
    """What the forms of a page carry."""
    return re.search(r'name="csrf" value="(\w+)"', page)[1]


@pytest.fixture
async def place(monkeypatch, signed_in):
    regions = MemoryMesh("us", "eu")
    async with AsyncExitStack() as stack:

        def mesh(name):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            return Mesh(broker, name, others=("eu",))

        for kind in (TEMPLATES, JOURNEYS):
            await seed(kind, "", mesh("offers"))
        api = await stack.enter_async_context(running(studio, mesh("studio"), http=("127.0.0.1", 0)))
        monkeypatch.setenv("CARTMESH_URL_STUDIO", f"http://127.0.0.1:{api.port}")
        run = await stack.enter_async_context(running(console.service, mesh("console"), http=("127.0.0.1", 0)))
        yield Place(f"http://127.0.0.1:{run.port}", mesh("tests"), regions, stack, signed_in)


@pytest.fixture
def two_people(monkeypatch):
    """Drafts of journeys are published only once two people have seen them."""
    monkeypatch.setenv("CARTMESH_REVIEW_REQUIRED", "journeys")


def refusal(answer):
    """Status and words of a problem detail (RFC 9457)."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["detail"]


async def test_a_journey_is_drafted_compared_published_and_put_back(place):
    """From nothing to its second revision, each step with what was read before."""
    script = await place.script("publisher")

    saved = await script.put(f"{SALE}/draft", json={"files": journey(1), "version": 0})
    version = saved.json()["draft_version"]
    before = (await script.get(SALE)).json()
    changed = (await script.get(f"{SALE}/difference")).json()
    made = await script.post(f"{SALE}/publish", json={"version": version, "expected_revision": None})
    version = (await script.get(SALE)).json()["draft_version"]
    second = await script.put(f"{SALE}/draft", json={"files": journey(2), "version": version})
    version = second.json()["draft_version"]
    await script.post(f"{SALE}/publish", json={"version": version, "expected_revision": 1})
    put_back = await script.post(f"{SALE}/revert", json={"revision": 1, "expected_revision": 2})

    assert (saved.status_code, before["in_force"], before["draft"]["files"]) == (200, None, journey(1))
    assert (changed["before"], changed["after"], "+cap = 1\n" in changed["difference"]) == ("none", "draft", True)
    assert (made.status_code, made.json()["revision"], made.json()["state"]) == (201, 1, "in force")
    assert (second.json()["draft"]["based_on"], put_back.json()["revision"]) == (1, 3)
    assert put_back.json()["files"] == journey(1)
    published = [one.event.revision async for one in place.mesh.read(JourneyPublished) if one.event.name == "sale"]
    assert published == [1, 2, 3]
    document = await place.mesh.state(JOURNEYS.bucket).get("sale")
    assert (document.revision, document.files) == (3, journey(1))


async def test_every_revision_and_every_difference_can_be_read(place):
    """In the list without texts, one by one with them; what is there not is named."""
    await place.sale(1, 2)
    script = await place.script("viewer")

    listed = (await script.get("/documents/v1/journeys")).json()
    history = (await script.get(f"{SALE}/revisions")).json()
    first = (await script.get(f"{SALE}/revisions/1")).json()
    older = (await script.get(f"{SALE}/difference", params={"before": 1})).json()
    back = (await script.get(f"{SALE}/difference", params={"before": 2, "after": 1})).json()

    assert [(one["name"], one["in_force"]["revision"], "files" in one["in_force"]) for one in listed] == [
        ("abandoned-cart", 0, False),
        ("sale", 2, False),
    ]
    assert [(one["revision"], one["author"]["id"], one["state"], "files" in one) for one in history] == [
        (2, "ada", "in force", False),
        (1, "ada", "replaced", False),
    ]
    assert (first["files"], first["state"]) == (journey(1), "replaced")
    assert "-cap = 1\n+cap = 2\n" in older["difference"]
    assert "-cap = 2\n+cap = 1\n" in back["difference"]
    assert refusal(await script.get(f"{SALE}/revisions/9")) == (404, "journey sale has no revision 9; it has 2, 1")
    assert refusal(await script.get("/documents/v1/journeys/sal")) == (
        404,
        "there is no journey sal: did you mean sale?",
    )
    assert refusal(await script.get(f"{SALE}/draft")) == (404, "there is no draft of journey sale: save one first")


async def test_a_template_is_a_document_like_a_journey(place):
    """It is rendered before it is saved: a variable that there is not is refused with file and line."""
    script = await place.script("publisher")
    path = "/documents/v1/templates/abandoned-cart"
    files = (await script.get(path)).json()["in_force"]["files"]
    english = files["en.mjml.j2"]

    misspelt = english.replace('subject = "', 'subject = "{{ shopp.name }} ', 1)

    wrong = await script.put(f"{path}/draft", json={"files": files | {"en.mjml.j2": misspelt}, "version": 0})
    saved = await script.put(f"{path}/draft", json={"files": files | {"en.mjml.j2": english + "\n"}, "version": 0})
    version = saved.json()["draft_version"]
    made = await script.post(f"{path}/publish", json={"version": version, "expected_revision": 0})

    status, words = refusal(wrong)
    assert (status, "abandoned-cart/en.mjml.j2 [subject] line 1" in words, "shopp" in words) == (422, True, True), words
    assert (made.status_code, made.json()["revision"]) == (201, 1), made.text


async def test_nobody_overwrites_or_publishes_what_they_have_not_seen(place):
    """409 with who was quicker: for a draft's version, for the revision in force, and in a race."""
    await place.sale(1)
    ada, grace = await place.script("publisher"), await place.script("publisher")
    opened = (await ada.put(f"{SALE}/draft", json={"files": journey(2), "version": 0})).json()["draft_version"]
    await grace.put(f"{SALE}/draft", json={"files": journey(3), "version": opened})

    late = await ada.put(f"{SALE}/draft", json={"files": journey(4), "version": opened})
    unseen = await ada.post(f"{SALE}/publish", json={"version": opened, "expected_revision": 1})
    unseen_too = await ada.delete(f"{SALE}/draft", params={"version": opened})
    version = (await ada.get(SALE)).json()["draft_version"]
    other = await ada.post(f"{SALE}/publish", json={"version": version, "expected_revision": None})
    back = await ada.post(f"{SALE}/revert", json={"revision": 1, "expected_revision": 7})
    both = await asyncio.gather(
        *(one.post(f"{SALE}/publish", json={"version": version, "expected_revision": 1}) for one in (ada, grace))
    )

    for answer in (late, unseen, unseen_too):
        status, words = refusal(answer)
        assert (status, "the draft of journey sale was saved by" in words) == (409, True)
    for answer in (other, back):
        status, words = refusal(answer)
        assert (status, "revision 1 by ada of journey sale is in force" in words) == (409, True)
    assert sorted(answer.status_code for answer in both) in ([201, 404], [201, 409])
    published = [one.event.files async for one in place.mesh.read(JourneyPublished) if one.event.name == "sale"]
    assert published == [journey(1), journey(3)]


async def test_a_wrong_document_or_body_is_refused_in_words(place):
    """The field and what it should be; a document's mistake says what to write instead."""
    script = await place.script("publisher")

    def put(body, name="sale"):
        return script.put(f"/documents/v1/journeys/{name}/draft", json=body)

    refused = {
        "a field": refusal(await put({"files": {FILE: "discont = 5"}, "version": 0})),
        "a template": refusal(await put({"files": {FILE: 'template = "abandoned-car"'}, "version": 0})),
        "no version": refusal(await put({"files": journey(1)})),
        "a type": refusal(await put({"files": journey(1), "version": "new"})),
        "one more": refusal(await put({"files": journey(1), "version": 0, "revison": 3})),
        "a name": refusal(await put({"files": journey(1), "version": 0}, name="Spring%20Sale")),
        "no expectation": refusal(await script.post(f"{SALE}/publish", json={"version": 0})),
        "no draft": refusal(await script.post(f"{SALE}/publish", json={"version": 0, "expected_revision": None})),
        "no kind": refusal(await script.get("/documents/v1/offers")),
    }

    words = {
        "a field": (422, "unknown discont"),
        "a template": (422, "did you mean abandoned-cart?"),
        "no version": (400, "version"),
        "a type": (400, "version: Expected `int`, got `str`"),
        "one more": (400, "revison"),
        "a name": (422, "lower-case words joined by single dashes"),
        "no expectation": (400, "expected_revision"),
        "no draft": (404, "save one first"),
        "no kind": (404, "Not Found"),
    }
    for what, (status, part) in words.items():
        assert (what, refused[what][0], part in refused[what][1]) == (what, status, True), refused[what]
    assert await place.changes() == []


@pytest.mark.parametrize(
    ("role", "may"),
    [("viewer", (200, 403, 403, 403)), ("marketer", (200, 200, 403, 403)), ("publisher", (200, 200, 201, 201))],
)
async def test_a_role_is_enough_for_its_part(place, role, may):
    """Viewers read, marketers draft, publishers publish; without a token nobody does anything."""
    await place.sale(1)
    script, nobody = await place.script(role), httpx.AsyncClient(base_url=place.url, timeout=60)

    async def tried(client):
        saved = await client.put(f"{SALE}/draft", json={"files": journey(2), "version": 0})
        version = saved.json().get("draft_version", 0)
        published = await client.post(f"{SALE}/publish", json={"version": version, "expected_revision": 1})
        put_back = await client.post(f"{SALE}/revert", json={"revision": 1, "expected_revision": 2})
        return [answer.status_code for answer in (await client.get(SALE), saved, published, put_back)]

    assert await tried(script) == list(may)
    async with nobody:
        assert await tried(nobody) == [401] * 4


async def test_a_browser_needs_what_its_page_carries(place):
    """A session changes something only with the page's token and from the same origin; an API token needs neither."""
    browser, script = await place.browser("publisher"), await place.script("publisher")
    secret = csrf((await browser.get("/console/account")).text)
    body = {"files": journey(1), "version": 0}

    refused = [
        await browser.put(f"{SALE}/draft", json=body),
        await browser.put(f"{SALE}/draft", json=body, headers={"x-csrf-token": "0" * 64}),
        await browser.put(
            f"{SALE}/draft", json=body, headers={"x-csrf-token": secret, "origin": "https://evil.example"}
        ),
        await script.post("/console/account/tokens", data={"token-name": "one more"}),
    ]
    taken = await browser.put(f"{SALE}/draft", json=body, headers={"x-csrf-token": secret})

    assert [answer.status_code for answer in refused] == [403] * 4
    assert taken.status_code == 200


async def test_a_token_in_a_cookie_is_no_token(place):
    """Browsers send cookies by themselves, so an API token in one lets no other site change anything."""
    script = await place.script("publisher")
    token = script.headers["authorization"].removeprefix("Bearer ")
    body = {"files": journey(1), "version": 0}

    async with httpx.AsyncClient(base_url=place.url, cookies={"cartmesh-us-session": token}, timeout=60) as browser:
        answer = await browser.put(f"{SALE}/draft", json=body)

    assert answer.status_code == 403


async def test_each_change_is_an_event_and_a_refused_one_is_none(place):
    """What was done to which document; authors are accounts, whose names stay in their region."""
    marketer, publisher = await place.script("marketer"), await place.script("publisher")
    by_role = {account.roles[0]: account for account in await Accounts(place.mesh).all()}

    first = (await marketer.put(f"{SALE}/draft", json={"files": journey(1), "version": 0})).json()["draft_version"]
    await marketer.post(f"{SALE}/publish", json={"version": first, "expected_revision": None})
    await publisher.post(f"{SALE}/publish", json={"version": first, "expected_revision": None})
    version = (await publisher.get(SALE)).json()["draft_version"]
    second = (await marketer.put(f"{SALE}/draft", json={"files": journey(2), "version": version})).json()
    discarded = await marketer.delete(f"{SALE}/draft", params={"version": second["draft_version"]})
    await publisher.post(f"{SALE}/revert", json={"revision": 1, "expected_revision": 1})

    assert discarded.status_code == 204
    assert await place.changes() == [
        ("save-draft", "journey/sale", {"draft_version": str(first)}),
        ("publish-draft", "journey/sale", {"revision": "1"}),
        ("save-draft", "journey/sale", {"draft_version": str(second["draft_version"])}),
        ("discard-draft", "journey/sale", {}),
        ("revert-document", "journey/sale", {"revision": "2", "reverted_to": "1"}),
    ]
    who = by_role["publisher"]
    assert (await publisher.get(SALE)).json()["in_force"]["author"] == {"id": who.id, "name": who.name}
    stored = [one.event.author async for one in place.mesh.read(JourneyPublished) if one.event.name == "sale"]
    assert stored == [who.id, who.id]


async def test_the_description_has_every_route(place):
    """OpenAPI 3.1 with what each route takes, answers and refuses; for whoever is signed in."""
    script = await place.script("viewer")

    answer = await script.get("/documents/openapi.json")
    described = answer.json()

    found = {
        (method, path.removeprefix("/documents/v1/journeys"))
        for path, methods in described["paths"].items()
        for method in methods
        if path.startswith("/documents/v1/journeys")
    }
    assert found == {
        ("get", ""),
        ("get", "/{name}"),
        ("get", "/{name}/draft"),
        ("put", "/{name}/draft"),
        ("delete", "/{name}/draft"),
        ("get", "/{name}/revisions"),
        ("get", "/{name}/revisions/{number}"),
        ("get", "/{name}/difference"),
        ("post", "/{name}/publish"),
        ("post", "/{name}/ask"),
        ("post", "/{name}/approve"),
        ("post", "/{name}/send-back"),
        ("post", "/{name}/revert"),
    }
    publishing = described["paths"]["/documents/v1/templates/{name}/publish"]["post"]
    assert {"201", "400", "401", "403", "404", "409", "422"} <= publishing["responses"].keys()
    assert "application/problem+json" in publishing["responses"]["409"]["content"]
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert (await httpx.AsyncClient(timeout=60).get(f"{place.url}/documents/openapi.json")).status_code == 401


async def test_what_is_published_over_http_is_in_force_in_every_region(place, eventually):
    """The same events as the commands publish: the other region's service takes them."""
    far = Mesh(place.regions.broker("eu"), "studio", others=("us",))
    script = await place.script("publisher")
    async with running(studio, far):
        version = (await script.put(f"{SALE}/draft", json={"files": journey(1), "version": 0})).json()["draft_version"]
        await script.post(f"{SALE}/publish", json={"version": version, "expected_revision": None})

        async def arrived():
            return await far.state(JOURNEYS.bucket).get("sale")

        document = await eventually(arrived, within=60)

    assert (document.revision, document.region, document.files) == (1, "us", journey(1))
    await far.broker.drain()


async def test_the_examples_of_the_readme_work_as_they_stand(place):
    """Each `curl` is sent as it is written, with the address and token of this console."""
    account = await place.script("publisher")
    token = account.headers["authorization"].removeprefix("Bearer ")
    block = re.search(r"### Over HTTP.*?```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1]
    lines = [line for line in block.replace("\\\n", " ").splitlines() if line.startswith("curl ")]

    answers = []
    async with httpx.AsyncClient(timeout=60) as client:
        for line in lines:
            method, url, headers, body = _curl(line.replace("$CONSOLE", place.url).replace("$TOKEN", token))
            answers.append(await client.request(method, url, headers=headers, content=body))

    assert len(lines) >= 6
    assert [(answer.status_code, answer.text) for answer in answers if answer.status_code >= 300] == []
    document = await place.mesh.state(JOURNEYS.bucket).get("spring-sale")
    assert document.revision == 2


def _curl(line):
    """A curl command as method, URL, headers and body (https://curl.se/docs/manpage.html)."""
    words = iter(shlex.split(line)[1:])
    method, url, headers, body = "", "", {}, None
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(":")
                headers[name] = value.strip()
            case "--json":
                body = next(words)
                headers["Content-Type"] = "application/json"
            case "-sS":
                pass
            case _:
                url = word
    return method or ("POST" if body else "GET"), url, headers, body


async def test_nobody_publishes_what_they_changed_last_unseen(two_people, place):
    """An approval is of one version: what is changed after it needs another. Reverting needs none."""
    await place.sale(1)
    ada, grace = await place.script("publisher"), await place.script("publisher")

    async def save(cap):
        known = (await ada.get(SALE)).json()["draft_version"]
        answer = await ada.put(f"{SALE}/draft", json={"files": journey(cap), "version": known})
        return {"version": answer.json()["draft_version"]}

    seen = await save(2)
    unseen = refusal(await ada.post(f"{SALE}/publish", json={**seen, "expected_revision": 1}))
    own = refusal(await ada.post(f"{SALE}/approve", json=seen))
    asked = await ada.post(f"{SALE}/ask", json={**seen, "comment": "For spring"})
    approved = await grace.post(f"{SALE}/approve", json=seen)
    shown = (await ada.get(SALE)).json()["review"]
    later = await save(3)
    changed = refusal(await ada.post(f"{SALE}/publish", json={**later, "expected_revision": 1}))
    late = refusal(await grace.post(f"{SALE}/approve", json=seen))
    silent = refusal(await grace.post(f"{SALE}/send-back", json=later))
    await grace.post(f"{SALE}/approve", json=later)
    published = await ada.post(f"{SALE}/publish", json={**later, "expected_revision": 1})
    reverted = await ada.post(f"{SALE}/revert", json={"revision": 1, "expected_revision": 2})
    by_grace = await grace.post(f"{SALE}/publish", json={**await save(4), "expected_revision": 3})

    assert unseen[0] == own[0] == changed[0] == late[0] == 409
    assert f"ask for review of version {seen['version']}" in unseen[1]
    assert "another publisher approves it" in own[1]
    assert (asked.json()["state"], asked.json()["comment"]) == ("asked", "For spring")
    assert (approved.json()["state"], shown["state"], shown["by"]["name"]) == ("approved", "approved", "publisher")
    assert silent == (422, "comment: say what is to be changed")
    assert [one.status_code for one in (published, reverted, by_grace)] == [201, 201, 201]
    assert [action for action, *_ in await place.changes()] == [
        *("save-draft", "ask-for-draft-review", "approve-draft", "save-draft", "approve-draft", "publish-draft"),
        *("revert-document", "save-draft", "publish-draft"),
    ]


async def test_without_the_setting_one_person_publishes(two_people, place):
    """Templates need nobody else here."""
    script = await place.script("publisher")
    whole = (await script.get("/documents/v1/templates/abandoned-cart")).json()
    path = "/documents/v1/templates/abandoned-cart"
    files = whole["in_force"]["files"]
    saved = await script.put(f"{path}/draft", json={"files": files, "version": whole["draft_version"]})
    version = saved.json()["draft_version"]

    published = await script.post(f"{path}/publish", json={"version": version, "expected_revision": 0})

    assert published.status_code == 201


async def test_a_shared_block_reaches_the_templates_that_contain_it(place):
    """Drafted and published like a template; each template that contains it is published again with it."""
    script, foot = await place.script("publisher"), shared_start("footer")
    path = "/documents/v1/blocks/foot"
    own = encode((Heading(id="b1", text="Sale"), Shared(id="b2", name="foot")))
    sale = start("offer") | {"en.blocks.json": own}

    drafted = await script.put(f"{path}/draft", json={"files": foot, "version": 0})
    first = await script.post(
        f"{path}/publish", json={"version": drafted.json()["draft_version"], "expected_revision": None}
    )
    await publish(TEMPLATES, "sale", with_shared(sale, {"foot": foot}), "ada", place.mesh)
    changed = foot | {"en.blocks.json": foot["en.blocks.json"].replace("No more", "No further")}
    again = await script.put(f"{path}/draft", json={"files": changed, "version": await draft_version(script, path)})
    second = await script.post(
        f"{path}/publish", json={"version": again.json()["draft_version"], "expected_revision": 1}
    )

    assert [one.status_code for one in (drafted, first, again, second)] == [200, 201, 200, 201]
    template = (await script.get("/documents/v1/templates/sale")).json()["in_force"]
    assert template["revision"] == 2
    assert "No further" in template["files"]["shared/foot/en.blocks.json"]


async def draft_version(script, path):
    """The version of a draft, as whoever changes it must send it."""
    return (await script.get(path)).json()["draft_version"]
