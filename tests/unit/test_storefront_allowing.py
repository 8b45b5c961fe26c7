"""The demo shop's server says that a signed-in shopper allows mails again; nobody else's page can have it say so."""

from contextlib import asynccontextmanager

import httpx
import pytest

from mesh.events.customer import ConsentChanged
from services.demo.storefront.allowing import serve_allowing
from services.demo.storefront.app import build
from services.demo.storefront.shop_server import ShopServer

KEY, OWN = "only-my-servers-know", {"origin": "http://shop.example"}


@asynccontextmanager
async def shop(mesh, gateway, key=KEY):
    served = httpx.ASGITransport(build(mesh, (serve_allowing(ShopServer(gateway, key)),)))
    async with httpx.AsyncClient(transport=served, base_url="http://shop.example") as client:
        yield client


async def test_the_server_reports_it_with_its_own_key(mesh, gateway_client, monkeypatch):
    """So that it lifts what the link in a mail refused."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", KEY)
    async with gateway_client(mesh) as gateway, shop(mesh, gateway) as client:
        answer = await client.post("/account/mail", json={"visitor_id": "ada"}, headers=OWN)

    said = (await mesh.last(ConsentChanged, "ada")).event
    assert answer.status_code == 204
    assert said == ConsentChanged(visitor_id="ada", channel="email", granted=True, by="server")


@pytest.mark.parametrize("headers", [{}, {"origin": "https://evil.example"}])
async def test_another_sites_page_is_refused(mesh, gateway_client, monkeypatch, headers):
    """Nothing is stored."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", KEY)
    async with gateway_client(mesh) as gateway, shop(mesh, gateway) as client:
        answer = await client.post("/account/mail", json={"visitor_id": "ada"}, headers=headers)

    assert answer.status_code == 403
    assert await mesh.last(ConsentChanged, "ada") is None


@pytest.mark.parametrize(("key", "status"), [(None, 404), (KEY, 503)], ids=["no key", "no gateway"])
async def test_what_was_not_stored_is_not_confirmed(mesh, key, status):
    """The page then says it itself."""
    async with httpx.AsyncClient(base_url="http://127.0.0.1:1") as gateway, shop(mesh, gateway, key) as client:
        answer = await client.post("/account/mail", json={"visitor_id": "ada"}, headers=OWN)

    assert answer.status_code == status


async def test_a_key_that_the_gateway_does_not_know_is_no_success(mesh, gateway_client):
    """The shop's server does not pass the refusal on as done."""
    async with gateway_client(mesh) as gateway, shop(mesh, gateway, "unknown") as client:
        answer = await client.post("/account/mail", json={"visitor_id": "ada"}, headers=OWN)

    assert answer.status_code == 502
