"""The page People in real Chromium: from an address to a person and back to nobody, readable by everyone."""

from contextlib import AsyncExitStack

import pytest
from playwright.async_api import expect

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.profiles import read_profile
from mesh.runtime.run import running
from services import console, identity
from tests.pages import examine, listen, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
        listen(page, logged)
        url = f"http://127.0.0.1:{run.port}"
        await sign_in(page, meshes["console"], url, "admin")
        await page.goto(f"{url}/console")

        await page.get_by_role("navigation", name="Pages").get_by_role("link", name="People").click()
        await examine(page)
        await page.get_by_label("E-mail address, number, customer or visitor").fill("ada@shop.test")
        await page.get_by_role("button", name="Find").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Visitor phone")
        await expect(page.get_by_role("link", name="cart-1")).to_have_attribute("href", "/decisions/cart-1")
        await page.get_by_role("button", name="Show what they said of themselves").click()
        await expect(page.get_by_role("region", name="Devices")).to_contain_text("E-mail address: ada@shop.test")
        await examine(page)
        await page.get_by_label("Erase them in every region").fill("erase")
        await page.get_by_role("button", name="Erase").click()
        await expect(page.get_by_role("region", name="Erasure")).to_contain_text("us: ")
        await examine(page)
    assert logged == []


async def _shopper(mesh):
    given = CustomerIdentified(visitor_id="phone", email="ada@shop.test", name="Ada L.", customer_id="c7", by="server")
    await mesh.publish(given)
    await mesh.publish(ConsentChanged(visitor_id="phone", channel="email", granted=True, by="server"))
    await mesh.publish(CartUpdated(cart_id="cart-1", visitor_id="phone", lines=()))


async def _known(mesh):
    profile = await read_profile(mesh, "phone")
    return profile.names and profile.carts
