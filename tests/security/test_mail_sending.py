"""What happens while offers wait for the mail server still stops them: claims come after the connection."""

import asyncio

import pytest

from mesh import Mesh
from mesh.events.cart import CartConverted, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.offer import OfferClaimed, OfferFailed, OfferSent, OfferWithdrawn
from mesh.events.order import PurchaseMarked
from mesh.profiles import visitor_digest
from mesh.runtime.run import running
from notifications.channels.service import service as channels
from notifications.documents.seeding import seed
from notifications.inbox.server import inbox
from notifications.templates.kind import TEMPLATES
from tests.approved_offer import approved_offer

CONNECTIONS, OFFERS = 2, 16
PATIENCE = 60


@pytest.fixture
async def slow(tmp_path, monkeypatch):
    """A mail server that takes messages and answers only once it is released."""
    async with inbox(tmp_path / "inbox") as box:
        box.released, box.held = asyncio.Event(), 0
        take = box.handle_DATA

        async def hold(*given):
            box.held += 1
            await box.released.wait()
            return await take(*given)

        box.handle_DATA = hold
        monkeypatch.setenv("CARTMESH_SMTP_PORT", str(box.smtp_port))
        monkeypatch.setenv("CARTMESH_SMTP_CONNECTIONS", str(CONNECTIONS))
        monkeypatch.setenv("CARTMESH_SMTP_TIMEOUT", str(PATIENCE))
        yield box
        box.released.set()


STOPS = {
    "unsubscribed": lambda at: CustomerUnsubscribed(visitor_id=f"v{at}", channel="email", offer_id=f"offer-{at}"),
    "refused": lambda at: ConsentChanged(visitor_id=f"v{at}", channel="email", granted=False),
    "bought this cart": lambda at: CartConverted(cart_id=f"c{at}", order_id=f"o{at}", visitor_id=f"v{at}"),
    "bought another cart": lambda at: PurchaseMarked(shopper=visitor_digest(f"v{at}"), order_id=f"o{at}"),
    "emptied": lambda at: CartUpdated(cart_id=f"c{at}", visitor_id=f"v{at}", lines=()),
}


async def test_what_happens_before_a_connection_is_free_stops_the_mail(regions, slow, eventually):
    """Many due offers, a slow server: who unsubscribes, buys or empties the cart meanwhile is not mailed."""
    mesh = Mesh(regions.broker("us"), "tests", others=("eu",))
    await seed(TEMPLATES, "", mesh)
    carts = range(OFFERS)
    for at in carts:
        await mesh.publish(CustomerIdentified(visitor_id=f"v{at}", email=f"v{at}@example.test"))

    async with running(channels, Mesh(regions.broker("us"), "channels", others=("eu",))):
        await mesh.publish(*map(approved_offer, carts))
        await eventually(lambda: slow.held == CONNECTIONS, within=PATIENCE)
        claimed = [at for at in carts if await _all(mesh, at, OfferClaimed)]
        waiting = [at for at in carts if at not in claimed]
        stopped = dict(zip(waiting, STOPS, strict=False))
        for at, how in stopped.items():
            await mesh.publish(STOPS[how](at))
        slow.released.set()
        await eventually(lambda: _ended(mesh, carts), within=PATIENCE)

    mailed = {mail.offer_id for mail in slow.mails}
    assert len(claimed) == CONNECTIONS
    assert set(stopped.values()) == set(STOPS)
    assert mailed == {f"offer-{at}" for at in carts if at not in stopped}
    for at in stopped:
        assert await _all(mesh, at, OfferClaimed) == []
        assert len(await _all(mesh, at, OfferWithdrawn)) == 1


async def _all(mesh, at, kind):
    return [one.event for one in (await mesh.history(f"c{at}", "offer")).of(kind)]


async def _ended(mesh, carts):
    for at in carts:
        history = await mesh.history(f"c{at}", "offer")
        if not any(isinstance(one.event, OfferSent | OfferFailed | OfferWithdrawn) for one in history):
            return False
    return True
