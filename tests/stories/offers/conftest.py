"""What tests of offers share: a shop on the in-memory twin, its mail server, its journeys, and services at work."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh
from mesh.events.cart import CartAbandoned, CartLine, CartScored, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.offer import OfferDecided, OfferRequested
from mesh.events.user import Recommendation
from mesh.money import Money
from mesh.publish import Draft
from mesh.runtime.run import running
from notifications.channels.service import service as channels
from notifications.inbox.server import inbox
from notifications.inbox.store import Inbox
from notifications.offers import service as offers
from services.identity import service as identity

LINE = CartLine(product_id="p1", quantity=2, price=Money(amount=4500, currency="EUR"), name="Lamp")
OTHER = {"us": "eu", "eu": "us"}


class Shop:
    """A shop in one region: publishes what gateway, carts and scoring would."""

    def __init__(self, regions, region):
        self.mesh = Mesh(regions.broker(region), "tests", others=(OTHER[region],))

    async def identify(self, visitor, email=None, **more):
        email = email or f"{visitor}@example.test"
        await self.mesh.publish(CustomerIdentified(visitor_id=visitor, email=email, **more))
        await self.mesh.publish(ConsentChanged(visitor_id=visitor, channel="email", granted=True))

    async def fill(self, cart, visitor, **more):
        await self.mesh.publish(CartUpdated(cart_id=cart, visitor_id=visitor, lines=(LINE,), **more))

    async def leave(self, cart, visitor, *, named=None, **more):
        named = named or f"left-{cart}"
        now = datetime.now(UTC)
        abandoned = CartAbandoned(
            cart_id=cart,
            visitor_id=visitor,
            lines=(LINE,),
            total=LINE.price * 2,
            left_at=now - timedelta(minutes=30),
            **({"due": now} | more),
        )
        await self.mesh.publish(Draft(event=abandoned, id=named))
        return named

    async def score(self, cart, visitor, named):
        scored = CartScored(
            cart_id=cart,
            visitor_id=visitor,
            abandonment_id=named,
            propensity=0.2,
            model_version="base-rate",
            reasons=(),
            recommended=(Recommendation(product_id="p9", reason="popular in the shop", price=LINE.price),),
        )
        await self.mesh.publish(scored)

    async def open_page(self, cart):
        """A page of the cart's shopper opens: the gateway asks for the cards of what was approved."""
        for decided in await self.all(cart, OfferDecided):
            if decided.outcome == "approved":
                asked = OfferRequested(cart_id=cart, visitor_id=decided.visitor_id, offer_id=decided.offer_id)
                await self.mesh.publish(asked)

    async def all(self, cart, kind):
        return [one.event for one in (await self.mesh.history(cart, "cart", "offer")).of(kind)]


@pytest.fixture
def shop(regions):
    """The shop in `us`."""
    return Shop(regions, "us")


@pytest.fixture
def shop_in(regions):
    """The shop in a region."""
    return lambda region: Shop(regions, region)


@pytest.fixture
def at_work(regions, monkeypatch):
    """Runs services in a region, by default those from decision to mailbox, until the block ends, at any hour."""
    monkeypatch.setenv("CARTMESH_JOURNEY_QUIET", "")

    @asynccontextmanager
    async def run(*services, region="us"):
        async with AsyncExitStack() as stack:
            for service in services or (offers, channels, identity):
                mesh = Mesh(regions.broker(region), service.name, others=(OTHER[region],))
                await stack.enter_async_context(running(service, mesh))
            yield

    return run


@pytest.fixture
async def box(tmp_path, monkeypatch) -> AsyncIterator[Inbox]:
    """The mail server, and settings with which nothing waits long."""
    async with inbox(tmp_path / "inbox") as opened:
        monkeypatch.setenv("CARTMESH_SMTP_PORT", str(opened.smtp_port))
        monkeypatch.setenv("CARTMESH_SEND_AGAIN_AFTER", "50ms")
        monkeypatch.setenv("CARTMESH_JOURNEY_SCORE_LIMIT", "100ms")
        monkeypatch.setenv("CARTMESH_JOURNEY_CONTACT_INTERVAL", "0s")
        yield opened


BASE = """template = "abandoned-cart"
quiet = ""
"""


@pytest.fixture
def journeys(tmp_path, monkeypatch):
    """Writes journeys by name; the services start with these and no others."""
    folder = tmp_path / "journeys"
    folder.mkdir()
    monkeypatch.setenv("CARTMESH_JOURNEYS", str(folder))

    def write(**fields):
        for name, text in fields.items():
            (folder / f"{name}.toml").write_text(BASE + text)

    return write
