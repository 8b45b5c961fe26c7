"""The page of suppressed addresses over real HTTP: who may see and change what, and what is put on record."""

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from html import unescape

import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.address import AddressSuppressed
from mesh.events.console import ConsoleChanged
from mesh.profiles import address_digest
from mesh.runtime.run import running
from notifications.mail_reports import requests
from notifications.mail_reports import service as mail_reports
from notifications.mail_reports.requests import Suppress
from notifications.studio import service as studio
from notifications.suppressions import standing_of

ADA = "ada@example.com"
DIGEST = address_digest(ADA)


@dataclass
class Place:
    """The studio and the service that keeps the list, in one region."""

    port: int
    mesh: Mesh
    reports: Mesh
    staff: object

    async def come(self, role):
        return await self.staff(self.mesh, self.port, role)

    async def suppress(self, reason):
        asked = Suppress(address=DIGEST, suppressed=True, reason=reason, by="mail-reports")
        await requests.suppress_address(asked, self.reports)

    async def reason(self):
        return (await standing_of(DIGEST, self.mesh)).reason

    async def recorded(self):
        return [one.event async for one in self.mesh.read(ConsoleChanged)]


@pytest.fixture
async def place(staff):
    regions = MemoryMesh("us")
    async with AsyncExitStack() as stack:
        brokers = [regions.broker("us") for _ in range(3)]
        for broker in brokers:
            stack.push_async_callback(broker.drain)
        reports = Mesh(brokers[2], "mail-reports")
        await stack.enter_async_context(running(mail_reports, reports))
        run = await stack.enter_async_context(running(studio, Mesh(brokers[0], "studio"), http=("127.0.0.1", 0)))
        yield Place(run.port, Mesh(brokers[1], "tests"), reports, staff)


async def send(person, action, **fields):
    return await person.send(f"/suppressions/{action}", page="/suppressions", **fields)


def text(answer):
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.text).split()))


async def test_an_empty_list_teaches_and_an_address_goes_on_and_off(place, eventually):
    """A marketer looks it up and puts it on, a publisher takes it off; no address is anywhere but in what was typed."""
    marketer, publisher = await place.come("marketer"), await place.come("publisher")
    empty = await marketer.get("/suppressions")
    none = await send(marketer, "look-up", address="ADA@example.com")
    on = await send(marketer, "suppress", digest=DIGEST, note=f"asked by phone, {ADA}")
    await eventually(lambda: _shows(marketer, "1 address"))
    refused = await send(marketer, "release", digest=DIGEST)
    off = await send(publisher, "release", digest=DIGEST, note="a mistake")

    assert "Nobody is on the list yet" in text(empty)
    assert "Not suppressed Nothing was ever said of it." in text(none)
    assert "Suppressed Put on the list by hand, since" in text(on)
    assert refused.status_code == 403
    assert "It may be written to again" in text(off)
    assert await place.reason() is None
    events = [one.event for one in await place.mesh.all_of(AddressSuppressed, DIGEST)]
    assert [(one.suppressed, one.note) for one in events] == [(True, "asked by phone, [address]"), (False, "a mistake")]
    recorded = await place.recorded()
    assert [one.action for one in recorded] == ["look-up-address", "suppress-address", "release-address"]
    assert {one.subject for one in recorded} == {DIGEST}
    assert ADA not in f"{recorded}{events}"


async def _shows(person, words):
    return words in text(await person.get("/suppressions"))


async def test_a_complaint_is_lifted_by_an_administrator_who_says_that_the_owner_asked(place):
    """Decision 25: a refusal is lifted by who may grant."""
    await place.suppress("complaint")
    publisher, admin = await place.come("publisher"), await place.come("admin")
    seen = await send(publisher, "look-up", address=ADA)
    tried = await send(publisher, "release", digest=DIGEST, note="x", asked="yes")
    unsaid = [
        await send(admin, "release", digest=DIGEST),
        await send(admin, "release", digest=DIGEST, asked="yes"),
        await send(admin, "release", digest=DIGEST, note="she wrote to us"),
    ]
    held = await place.reason()
    lifted = await send(admin, "release", digest=DIGEST, note="she wrote to us", asked="yes")

    assert "A complaint is lifted by the owner of the address" in text(seen)
    assert (tried.status_code, [one.status_code for one in unsaid], held) == (403, [422] * 3, "complaint")
    assert (lifted.status_code, await place.reason()) == (200, None)


async def test_what_a_role_may_not_do_is_neither_shown_nor_done(place):
    """A viewer sees the counts alone."""
    await place.suppress("hard-bounce")
    viewer = await place.come("viewer")
    page = await viewer.get("/suppressions")
    answers = {
        action: (await send(viewer, action, address=ADA, digest=DIGEST)).status_code
        for action in ("look-up", "suppress", "release", "import", "export")
    }
    publisher = await place.come("publisher")

    assert answers == dict.fromkeys(answers, 403)
    assert "<form" not in page.text.partition("<main")[2]
    assert (await send(publisher, "export")).status_code == 403
    assert await place.reason() == "hard-bounce"
    assert await place.recorded() == []


async def _upload(person, content, name="list.csv"):
    csrf = re.search(r'name="csrf" value="(\w+)"', (await person.get("/suppressions")).text)[1]
    return await person._client.post(
        "/suppressions/import", data={"csrf": csrf}, files={"file": (name, content, "text/csv")}
    )


async def test_a_list_is_imported_with_its_bad_lines_named_and_exported(place, eventually):
    """The audit has how many, and no address."""
    publisher, admin = await place.come("publisher"), await place.come("admin")
    content = f"name;email\nAda;{ADA}\nNobody;\nM\xfcller;m@example.com\nBob;bob@example.com\n".encode("latin-1")
    answer = await _upload(publisher, content)
    await eventually(lambda: _shows(publisher, "2 addresses"))
    exported = await send(admin, "export")

    said = text(answer)
    assert "2 addresses from 2 lines." in said
    assert "2 lines have no address and changed nothing." in said
    assert "3 no address in it 4 not in UTF-8: save the file as CSV UTF-8" in said
    assert await place.reason() == "imported"
    assert exported.headers["content-type"].startswith("text/csv")
    assert {row.split(",")[0] for row in exported.text.splitlines()[1:]} == {DIGEST, address_digest("bob@example.com")}
    by_action = {one.action: one for one in await place.recorded()}
    assert by_action["import-addresses"].details == {"addresses": "2", "lines": "2", "refused": "2"}
    assert "export-addresses" in by_action


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04", "Nothing was imported: this is no text: save the table as CSV UTF-8"),
        (b"", "0 addresses from 0 lines."),
        (b"<script>alert(1)</script>\n", "1 line has no address"),
    ],
)
async def test_a_file_that_is_no_list_is_said_so(place, content, said):
    """In plain words, and nothing changes."""
    answer = await _upload(await place.come("publisher"), content)

    assert said in text(answer)
    assert await place.reason() is None


async def test_what_was_typed_wrongly_and_a_form_without_an_address_are_said(place):
    """Neither is an error of the program."""
    admin = await place.come("admin")
    answers = [
        await send(admin, "look-up", address="<script>"),
        await send(admin, "suppress", digest="../x"),
        await send(admin, "release", digest=""),
        await send(admin, "import"),
    ]

    assert [one.status_code for one in answers] == [422] * 4
    assert "That is no e-mail address" in text(answers[0])
    assert "<script>" not in answers[0].text


async def test_a_list_that_cannot_be_changed_now_is_said_so(staff):
    """The service that keeps it is away: 503, as a page."""
    regions = MemoryMesh("us")
    mesh = Mesh(regions.broker("us"), "tests")
    async with running(studio, Mesh(regions.broker("us"), "studio"), http=("127.0.0.1", 0)) as run:
        admin = await staff(mesh, run.port, "admin")
        answer = await send(admin, "suppress", digest=DIGEST)

    assert answer.status_code == 503
