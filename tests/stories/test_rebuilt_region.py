"""A region is lost with all that its shoppers did, and rebuilt: nobody is mailed for it again, and it sells on."""

from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mesh import Mesh
from mesh.broker.jetstream import JetStreamBroker
from mesh.events.cart import CartConverted
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.offer import OfferSent
from mesh.operations import rebuild_region as rebuilding
from mesh.operations.rebuild_region import rebuild_region
from mesh.runtime.hosting import hosting
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.runtime.serving import serving
from mesh.topology.mesh_toml import Topology
from notifications.channels.service import service as channels
from notifications.inbox.server import inbox
from notifications.offers import service as offers
from services import carts, gateway, identity, orders
from services.gateway import Accepted, app
from services.gateway.live import LiveOffers
from services.operations import heartbeat
from tests.broker.test_backup import wipe

pytestmark = pytest.mark.drill
PAGE = {"authorization": "Bearer demo"}
LINE = {"product_id": "lamp", "quantity": 1, "price": {"amount": 4900, "currency": "EUR"}}
AT_WORK = (carts.service, identity.service, offers, channels, heartbeat.service)
HOSTED = (carts.service, orders.service)
"""Those that say what the gateway takes."""
SERVICES = (*AT_WORK, orders.service, gateway.service)


@asynccontextmanager
async def at_work(servers, region, services):
    """These services of a region; yields its operator's mesh."""
    async with AsyncExitStack() as stack:
        broker = JetStreamBroker(await servers.operator(region))
        others = servers.topology.others(region)
        for service in services:
            await stack.enter_async_context(running(service, Mesh(broker, service.name, others=others)))
        yield Mesh(broker, "operator", others=others)


@asynccontextmanager
async def at_the_gateway(mesh):
    """A client of the gateway of a region."""
    at_gateway = Mesh(mesh.broker, "gateway", others=mesh.others)
    async with (
        hosting(HOSTED, at_gateway) as hosted,
        serving(app(at_gateway, LiveOffers(), Accepted(hosted)), "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=PAGE) as client,
    ):
        yield client


async def may_be_mailed(mesh, *visitors):
    for visitor in visitors:
        await mesh.publish(CustomerIdentified(visitor_id=visitor, email=f"{visitor}@example.test", name=visitor))
        await mesh.publish(ConsentChanged(visitor_id=visitor, channel="email", granted=True))


async def sends(client, kind, visitor, **fields):
    event = {"id": f"{visitor}-{kind}", "type": kind, "time": datetime.now(UTC).isoformat(), "visitor_id": visitor}
    event |= {"cart_id": f"{visitor}-cart", "lines": [LINE], **fields}
    answer = await client.post("/v1/events", json={"events": [event]})
    assert answer.json()["rejected"] == []


async def buys(client, visitor):
    await sends(client, "order_placed", visitor, order_id=f"{visitor}-order", total=LINE["price"])


async def last(mesh, kind, visitor, region):
    return await mesh.last(kind, f"{visitor}-cart", region=region)


async def test_nobody_is_mailed_for_what_was_before_the_loss(tmp_path, monkeypatch, eventually):
    """One was mailed and bought, one bought in time: neither is mailed again. Who leaves a cart afterwards is."""
    monkeypatch.setattr(rebuilding, "LISTENED", 1.5)
    monkeypatch.setattr(rebuilding, "HEARD_WITHIN", timedelta(0))
    settings = {"ABANDON_AFTER": "500ms", "JOURNEY_QUIET": "", "JOURNEY_CONTACT_INTERVAL": "0s"}
    for name, value in (settings | {"URL_LINKS": "http://127.0.0.1:1", "WRITE_KEYS": "demo"}).items():
        monkeypatch.setenv(f"CARTMESH_{name}", value)
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(inbox(tmp_path / "inbox"))
        monkeypatch.setenv("CARTMESH_SMTP_PORT", str(box.smtp_port))
        servers = LocalServers(Topology.of(["us", "eu"], nodes=1), services=SERVICES)
        await stack.enter_async_context(servers)
        us = await stack.enter_async_context(at_work(servers, "us", (carts.service, heartbeat.service)))
        async with at_work(servers, "eu", AT_WORK) as eu, at_the_gateway(eu) as client:
            await may_be_mailed(eu, "ada", "bea")
            await sends(client, "cart_updated", "ada")
            (mail,) = await box.wait_for(1)
            await eventually(lambda: last(us, OfferSent, "ada", "eu"))
            await sends(client, "cart_updated", "bea")
            for buyer in ("ada", "bea"):
                await buys(client, buyer)
                await eventually(lambda buyer=buyer: last(us, CartConverted, buyer, "eu"))
        await wipe(servers, "eu")
        others = [await servers.operator("us")]
        done = await rebuild_region(await servers.operator("eu"), servers.topology, SERVICES, others)
        async with at_work(servers, "eu", AT_WORK) as eu, at_the_gateway(eu) as client:
            await may_be_mailed(eu, "ada", "bea", "eve")
            await sends(client, "cart_updated", "eve")
            mails = await box.wait_for(2)

    assert done.events["order"] >= 2
    assert [recipient for one in mails for recipient in one.recipients] == ["ada@example.test", "eve@example.test"]
    assert len(box.mails) == 2
    assert mail.offer_id != mails[1].offer_id
