"""The studio's pages on a real server, with no more rights than the studio has."""

import re
from contextlib import AsyncExitStack

import httpx
import pytest

from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS
from notifications.mail_reports import service as mail_reports
from notifications.offers import service as offers
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from services.console import service as console
from services.identity import service as identity

JOURNEY, TEMPLATE = "abandoned-cart", "abandoned-cart"


@pytest.fixture
async def place():
    """The port of the studio's pages, and the region as the console sees it."""
    async with AsyncExitStack() as stack:
        servers = LocalServers(Topology.of(["us"], nodes=1), services=[offers, studio, mail_reports, console, identity])
        await stack.enter_async_context(servers)

        async def mesh(name):
            connected = await connect(servers.access, "us", name)
            stack.push_async_callback(connected.broker.drain)
            return connected

        for kind in (TEMPLATES, JOURNEYS):
            await seed(kind, "", await mesh("offers"))
        run = await stack.enter_async_context(running(studio, await mesh("studio"), http=("127.0.0.1", 0)))
        yield run.port, await mesh("console")


@pytest.fixture
async def publisher(place, signed_in):
    """A client of the studio's pages, signed in as a publisher called `publisher`."""
    port, region = place
    headers = await signed_in(region, "publisher")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        yield client


async def test_every_page_opens_and_names_who_published(publisher):
    """Lists, editors, histories and figures, before anything was published and after."""
    draft = (await publisher.get(f"/documents/v1/journeys/{JOURNEY}")).json()
    files = {name: f"{text}# changed\n" for name, text in draft["in_force"]["files"].items()}
    saved = await publisher.put(
        f"/documents/v1/journeys/{JOURNEY}/draft", json={"version": draft["draft_version"], "files": files}
    )
    made = await publisher.post(
        f"/documents/v1/journeys/{JOURNEY}/publish",
        json={"version": saved.json()["draft_version"], "expected_revision": 0},
    )

    opened = {
        path: await publisher.get(path)
        for path in (
            "/overview",
            "/experiments",
            f"/experiments/{JOURNEY}",
            "/decisions",
            "/journeys",
            f"/journeys/{JOURNEY}",
            f"/journeys/{JOURNEY}/text",
            f"/journeys/{JOURNEY}/history",
            f"/journeys/{JOURNEY}/rehearsal",
            f"/journeys/{JOURNEY}/rehearsal?days=30&result=1",
            "/templates",
            "/blocks",
            f"/templates/{TEMPLATE}",
            f"/templates/{TEMPLATE}/frame?locale=de",
            f"/templates/{TEMPLATE}/history",
            "/documents/v1/templates",
        )
    }

    assert (made.status_code, made.json()["author"]["name"]) == (201, "publisher")
    assert {path: page.status_code for path, page in opened.items()} == dict.fromkeys(opened, 200)
    assert re.search(r"by publisher\b", opened["/journeys"].text)
    assert re.search(r"by publisher\b", opened[f"/journeys/{JOURNEY}/history"].text)


async def test_a_shared_block_reaches_the_templates_that_contain_it(place, staff):
    """With the studio's own rights: its event, its bucket, and the templates' next revisions."""
    port, region = place
    person = await staff(region, port, "publisher")

    async def publish(page):
        review = (await person.get(f"{page}/review")).text
        read = {name: re.search(rf'name="{name}" value="(\d*)"', review)[1] for name in ("version", "revision")}
        return await person.send(f"{page}/publish", page=f"{page}/review", **read)

    sent = [
        await person.send("/templates", page="/templates", name="spring", copy="blocks:offer"),
        await publish("/templates/spring"),
        await person.send("/blocks", page="/blocks", copy="brand"),
        await publish("/blocks/brand"),
    ]

    in_force = (await person.get("/documents/v1/templates/spring")).json()["in_force"]
    assert [one.status_code for one in sent] == [303] * 4
    assert (in_force["revision"], "brand.json" in in_force["files"]) == (2, True)
    assert "spring" in (await person.get("/blocks")).text
