"""A new user's path through the demo shop: a whole mesh as `make shop` starts it, real pages, real mail."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mesh import Mesh, Money
from mesh.events.cart import CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.order import OrderPlaced
from mesh.events.product import ProductListed
from mesh.ports import free_ports
from mesh.process import Process
from mesh.topology import Topology
from mesh.up import Up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
TOOLS = Path(sys.executable).parent
README = Path(__file__).parents[2] / "services" / "storefront" / "README.md"
TOLD = (
    ProductViewed, ProductSearched, CartUpdated, CheckoutStarted, OrderPlaced, CustomerIdentified, ConsentChanged
)  # fmt: skip
SETTINGS = {
    "CARTMESH_ABANDON_AFTER": "3s",
    "CARTMESH_JOURNEY_QUIET": "",
    "CARTMESH_SHOP_PAST": "true",
    "CARTMESH_WRITE_KEYS": "demo,mine",
    "CARTMESH_SERVER_KEYS": "only-my-servers-know",
}


@dataclass(frozen=True, kw_only=True)
class Street:
    """The shop and the inbox where a browser finds them, a page of one's own (`port`), and the log."""

    shop: str
    inbox: str
    gateway: str
    servers: Path
    port: int
    log: Mesh

    async def told(self, *kinds, visitor=None):
        """What is stored of shoppers that are no past, or of one of them."""
        found = [received async for received in self.log.read(*(kinds or TOLD))]
        of = (one for one in found if not one.event.visitor_id.startswith("past-"))
        return [one for one in of if visitor in (None, one.event.visitor_id)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(chromium):
    """One region of one server, every service, and a past to recommend from."""
    (port,) = free_ports(1)
    environment = {**SETTINGS, "CARTMESH_KEY_ORIGINS": f"mine=http://127.0.0.1:{port}"}
    async with Up(Topology.of(("us",), nodes=1), environment=environment, demo=True) as up:
        yield Street(
            shop=up.urls["us"]["storefront"],
            inbox=up.companions["inbox"].addresses["inbox"],
            gateway=up.gateway("us"),
            servers=up.servers_file,
            port=port,
            log=await up.operator("us"),
        )


async def test_the_readme_leads_from_nothing_to_events(street, visit, tmp_path, eventually):
    """Its commands and its page work as they stand there, with this mesh's addresses."""
    (_, _, an_event, a_trace, a_listing), (page_html,) = blocks("sh"), blocks("html")
    own = f"http://127.0.0.1:{street.port}"
    (tmp_path / "page.html").write_text(page_html.replace("GATEWAY", street.gateway), encoding="utf-8")
    serving = [
        sys.executable,
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(tmp_path),
        str(street.port),
    ]
    web = await Process.start(serving, log=tmp_path / "web.log")
    try:
        assert '"accepted":1,"duplicates":0,"rejected":[]' in await run(an_event, street)
        page = await visit()
        await page.goto(f"{own}/page.html")
        await page.get_by_role("button", name="You may count my visit").click()
        await page.get_by_label("E-mail").fill("reader@example.com")
        await page.get_by_role("button", name="Remind me of my cart").click()
        await page.get_by_role("button", name="Add to cart").click()
        await expect(page.get_by_role("dialog")).to_contain_text("Tea tin")
    finally:
        await web.end()

    inbox = await visit()
    await inbox.goto(street.inbox)
    await expect(inbox.get_by_role("link", name="reader@example.com")).to_be_visible()
    assert "interaction.product_viewed" in await run(a_trace, street)
    assert '"accepted":1' in await run(a_listing, street)
    listed = await street.log.last(ProductListed, "tin")
    assert (listed.event.name, listed.event.price) == ("Tea tin", Money(amount=1900, currency="EUR"))


def blocks(language):
    """The README's blocks of a language, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


async def run(command, street):
    """What a command of the README prints, with the addresses of this mesh."""
    found = {"GATEWAY": street.gateway, "SERVERS": str(street.servers), "PATH": f"{TOOLS}:{os.environ['PATH']}"}
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euc", command.replace(".venv/bin/", f"{TOOLS}/"), env=os.environ | found, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await asyncio.wait_for(shell.communicate(), 60)
    assert shell.returncode == 0, said.decode()
    return said.decode()
