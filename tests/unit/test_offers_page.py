"""The page of offers and codes by role, without a browser: what each may see and do, and what is wrong with a form."""

import pytest

from mesh import Mesh
from mesh.events.code import CodesImported
from mesh.runtime.run import running
from services import promotions

FILE = {"list": "summer", "codes": "SUMMER-1\nSUMMER-2"}


@pytest.fixture
async def port(regions):
    """The promotions of `us`, alone."""
    broker = regions.broker("us")
    async with running(promotions.service, Mesh(broker, "promotions"), http=("127.0.0.1", 0)) as run:
        yield run.port
    await broker.drain()


async def test_what_each_role_may_do(port, mesh, staff):
    """A viewer sees numbers, a marketer codes, and a publisher imports them."""
    vi, mo, pat = [await staff(mesh, port, role) for role in ("viewer", "marketer", "publisher")]

    imported = [(await one.send("/offers/import", page="/offers", **FILE)).status_code for one in (vi, mo, pat)]
    found = [(await one.send("/offers/find", page="/offers", code="summer 1")).status_code for one in (vi, mo)]
    exported = [(await one.get("/offers/lists/summer/used.csv")).status_code for one in (vi, mo)]
    seen = (await vi.get("/offers")).text

    assert (imported, found, exported) == ([403, 403, 303], [403, 200], [403, 200])
    assert "summer" in seen
    assert "<button>Import</button>" not in seen
    assert [one.event.codes async for one in mesh.read(CodesImported)] == [("SUMMER-1", "SUMMER-2")]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"list": "two words"}, "Give the list a name"),
        ({"expires": "soon"}, "is no day"),
        ({"codes": ""}, "There is no code in it"),
        ({"codes": "SUMMER-1\nsummer1"}, "Line 2: summer1 stands in line 1, too"),
    ],
)
async def test_a_wrong_form_imports_nothing_and_says_what_is_wrong(port, mesh, staff, changed, words):
    """Where the publisher looks."""
    pat = await staff(mesh, port, "publisher")

    answer = await pat.send("/offers/import", page="/offers", **FILE | changed)

    assert (answer.status_code, words in answer.text) == (422, True)
    assert [one async for one in mesh.read(CodesImported)] == []
