"""The sender's page as marketers see it: real Chromium, and a real name server that it asks."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import running
from notifications.mail_keys import make_key
from notifications.studio import service as studio
from services import console
from services.identity import service as identity
from tests.pages import examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
PUBLIC = make_key("rsa")[1]
SPF, DKIM = "shop.example.test", "k1._domainkey.shop.example.test"
SETTINGS = {
    "MAIL_FROM": "Tea <offers@shop.example.test>",
    "DKIM_SELECTOR": "k1",
    "DKIM_PUBLIC_KEY": PUBLIC,
    "SPF_SENDERS": "include:_spf.example.net",
}


@dataclass
class House:
    """A region's console, with the studio behind it, and the name server that it asks."""

    url: str
    mesh: Mesh
    server: object


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(name_server):
    regions, patch = MemoryMesh("us"), pytest.MonkeyPatch()
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        server = await stack.enter_async_context(name_server())
        for name, value in {**SETTINGS, "DNS_SERVER": server.address}.items():
            patch.setenv(f"CARTMESH_{name}", value)
        meshes = {}
        for name in ("studio", "console", "identity"):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            meshes[name] = Mesh(broker, name)
        await stack.enter_async_context(running(identity, meshes["identity"]))
        pages = await stack.enter_async_context(running(studio, meshes["studio"], http=("127.0.0.1", 0)))
        patch.setenv("CARTMESH_URL_STUDIO", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        yield House(f"http://127.0.0.1:{run.port}", meshes["console"], server)


@pytest.mark.timeout(600)
async def test_a_marketer_checks_the_records_and_copies_what_is_missing(house, visit):
    """By keyboard, and again after it was published; axe-core finds nothing, wide and light, narrow and dark."""
    logged = []
    page = await visit(permissions=["clipboard-read", "clipboard-write"])
    listen(page, logged)
    house.server.texts = {SPF: ["v=spf1 mx ~all"], DKIM: [f"v=DKIM1; k=rsa; p={PUBLIC}"]}
    await sign_in(page, house.mesh, house.url, "marketer")
    await page.goto(f"{house.url}/console")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Sender").click()
    await expect(page.get_by_role("status").filter(has_text="DNS has not been asked yet")).to_be_visible()

    await page.get_by_role("button", name="Check now").press("Enter")

    await expect(page.locator("#asked")).to_contain_text("DNS was asked at")
    await expect(page.locator("#now-SPF")).to_contain_text("It does not name include:_spf.example.net")
    await expect(page.locator("#now-DKIM")).to_contain_text("Right")
    await expect(page.locator("#now-DMARC")).to_contain_text("Missing")
    await examine(page)

    await page.get_by_role("button", name="Copy: DMARC value").click()
    copied = await page.evaluate("navigator.clipboard.readText()")
    house.server.texts["_dmarc.shop.example.test"] = [copied]
    await page.get_by_role("button", name="Check now").click()

    await expect(page.locator("#now-DMARC")).to_contain_text("Right")
    assert copied == "v=DMARC1; p=none"
    assert logged == []
