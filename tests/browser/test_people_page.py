"""The page People in real Chromium: from an address to a person and back to nobody, readable by everyone."""

from contextlib import AsyncExitStack

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.profiles import read_profile
from mesh.runtime.run import running
from mesh.web.invitations import Invitations
from services import console, identity

pytestmark = pytest.mark.asyncio(loop_scope="session")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SIZES = (("light", 1280), ("dark", 390))
"""A scheme of colours and a width."""


async def test_an_administrator_finds_somebody_and_erases_them(visit, eventually, monkeypatch):
    """By the address, over what they said, to the proof of the erasure."""
    regions, logged = MemoryMesh("us"), []
    async with AsyncExitStack() as stack:
        meshes = {name: Mesh(regions.broker("us"), name) for name in ("identity", "console")}
        for mesh in meshes.values():
            stack.push_async_callback(mesh.broker.drain)
        pages = await stack.enter_async_context(running(identity.service, meshes["identity"], http=("127.0.0.1", 0)))
        monkeypatch.setenv("CARTMESH_URL_IDENTITY", f"http://127.0.0.1:{pages.port}")
        run = await stack.enter_async_context(running(console.service, meshes["console"], http=("127.0.0.1", 0)))
        await _shopper(meshes["console"])
        await eventually(lambda: _known(meshes["console"]))
        page = await visit()
        page.on("console", lambda line: logged.append(line.text))
        await _join(meshes["console"], f"http://127.0.0.1:{run.port}", page)

        await page.get_by_role("navigation", name="Pages").get_by_role("link", name="People").click()
        await _check(page)
        await page.get_by_label("E-mail address, customer or visitor").fill("ada@shop.test")
        await page.get_by_role("button", name="Find").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Visitor phone")
        await expect(page.get_by_role("link", name="cart-1")).to_have_attribute("href", "/decisions/cart-1")
        await page.get_by_role("button", name="Show what they said of themselves").click()
        await expect(page.get_by_role("region", name="Devices")).to_contain_text("E-mail address: ada@shop.test")
        await _check(page)
        await page.get_by_label("Erase them in every region").fill("erase")
        await page.get_by_role("button", name="Erase").click()
        await expect(page.get_by_role("region", name="Erasure")).to_contain_text("us: ")
        await _check(page)
    assert logged == []


async def _shopper(mesh):
    given = CustomerIdentified(visitor_id="phone", email="ada@shop.test", name="Ada L.", customer_id="c7", by="server")
    await mesh.publish(given)
    await mesh.publish(ConsentChanged(visitor_id="phone", channel="email", granted=True, by="server"))
    await mesh.publish(CartUpdated(cart_id="cart-1", visitor_id="phone", lines=()))


async def _known(mesh):
    profile = await read_profile(mesh, "phone")
    return profile.names and profile.carts


async def _join(mesh, url, page):
    """Create an account by an invitation's link, as people do; they are signed in then."""
    token = await Invitations(mesh).create(roles=("admin",))
    await page.goto(f"{url}/console/join/{token}")
    await page.get_by_label("Your name").fill("Bea")
    await page.get_by_label("E-mail address").fill("bea@example.com")
    await page.get_by_label("Password").fill("correct horse battery staple")
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Console")


async def _check(page):
    """axe-core finds nothing, wide and light, narrow and dark; nothing is cut off."""
    for scheme, width in SIZES:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": 900})
        found = (await Axe().run(page, options=RULES)).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []
        assert await page.evaluate("document.documentElement.scrollWidth") == width
