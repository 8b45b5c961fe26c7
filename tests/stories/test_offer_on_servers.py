"""Offers on real servers: atomic decisions, real timers, real SMTP, and the click that ends it."""

import re
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.events.cart import CartAbandoned, CartLine, CartScored, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.offer import OfferDecided, OfferDue, OfferRequested, OfferSent
from mesh.mesh import Mesh
from mesh.money import Money
from mesh.publish import Draft
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.service import Service
from mesh.topology.mesh_toml import Topology
from notifications.channels.service import service as channels
from notifications.inbox.server import inbox
from notifications.links import service as links
from notifications.offers import service as offers
from tests.sms_receivers import SMS_SETTINGS, twilio_receiver

LINE = CartLine(product_id="p1", quantity=1, price=Money(amount=4500, currency="EUR"), name="Lamp")
street = Service(
    "street", publishes=(CartUpdated, CartAbandoned, CartScored, CustomerIdentified, ConsentChanged, OfferRequested)
)
SERVICES = (offers, channels, links, street)


@pytest.fixture
async def servers():
    async with LocalServers(Topology.of(["us"], nodes=1), services=SERVICES) as started:
        yield started


@asynccontextmanager
async def connect_as(servers, name):
    login = servers.credentials("us", name)
    broker = await JetStreamBroker.connect(
        "us", login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
    )
    try:
        yield Mesh(broker, name)
    finally:
        await broker.drain()


async def leave(mesh, cart, *, score):
    now, named = datetime.now(UTC), f"left-{cart}"
    await mesh.publish(CartUpdated(cart_id=cart, visitor_id="ada", lines=(LINE,)))
    abandoned = CartAbandoned(
        cart_id=cart,
        visitor_id="ada",
        lines=(LINE,),
        total=LINE.price,
        left_at=now - timedelta(minutes=30),
        due=now,
    )
    await mesh.publish(Draft(event=abandoned, id=named))
    if score:
        scored = CartScored(
            cart_id=cart,
            visitor_id="ada",
            abandonment_id=named,
            propensity=0.1,
            model_version="base-rate",
            reasons=(),
            recommended=(),
        )
        await mesh.publish(scored)


async def test_an_offer_is_sent_once_and_ends_with_one_click(servers, tmp_path, monkeypatch, eventually):
    """Scored and unscored carts are mailed; the header's click unsubscribes; the next cart gets the card alone."""
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(inbox(tmp_path / "inbox"))
        monkeypatch.setenv("CARTMESH_SMTP_PORT", str(box.smtp_port))
        monkeypatch.setenv("CARTMESH_JOURNEY_QUIET", "")
        monkeypatch.setenv("CARTMESH_JOURNEY_CONTACT_INTERVAL", "0s")
        page = await stack.enter_async_context(connect_as(servers, "links"))
        run = await stack.enter_async_context(running(links, page, http=("127.0.0.1", 0)))
        monkeypatch.setenv("CARTMESH_URL_LINKS", f"http://127.0.0.1:{run.port}")
        for service in (offers, channels):
            mesh = await stack.enter_async_context(connect_as(servers, service.name))
            await stack.enter_async_context(running(service, mesh))
        shop = await stack.enter_async_context(connect_as(servers, "street"))
        await shop.publish(CustomerIdentified(visitor_id="ada", email="ada@example.test", name="Ada"))
        await shop.publish(ConsentChanged(visitor_id="ada", channel="email", granted=True))

        await leave(shop, "scored", score=True)
        (first,) = await box.wait_for(1)
        await leave(shop, "unscored", score=False)
        mails = await box.wait_for(2)
        await shop.publish(OfferRequested(cart_id="scored", visitor_id="ada", offer_id=first.offer_id))
        sent = await eventually(lambda: _all(shop, "scored", OfferSent, 2))
        link = box.opened(first)["List-Unsubscribe"].strip("<>")
        async with httpx.AsyncClient(timeout=60) as browser:
            asked = await browser.get(link)
            before = await shop.history("ada", "customer")
            clicked = await browser.post(link, data={"List-Unsubscribe": "One-Click"})
            forged = await browser.post(link[:-4] + "AAAA", data={"List-Unsubscribe": "One-Click"})
        await eventually(lambda: _gone(shop))
        await leave(shop, "third", score=True)
        (carded,) = await eventually(lambda: _all(shop, "third", OfferDecided, 1))

        assert not (await shop.history("unscored", "offer")).of(OfferDue)[1:]

    assert len({mail.offer_id for mail in mails}) == len(box.mails) == 2
    assert {one.channel for one in sent} == {"email", "onsite"}
    assert (asked.status_code, clicked.status_code, forged.status_code) == (200, 200, 400)
    assert before.last(CustomerUnsubscribed) is None
    assert "set-cookie" not in clicked.headers
    assert (carded.outcome, carded.channels) == ("approved", ("onsite",))


async def _all(mesh, cart, kind, count):
    found = [one.event for one in (await mesh.history(cart, "offer")).of(kind)]
    return found if len(found) >= count else None


async def _gone(mesh):
    return (await mesh.history("ada", "customer")).last(CustomerUnsubscribed)


async def test_an_offer_is_texted_once_and_its_short_link_leads_on(servers, monkeypatch, eventually):
    """With no more rights than each service has: the link is kept by who sends, and read by who leads on."""
    async with AsyncExitStack() as stack:
        twilio = stack.enter_context(twilio_receiver())
        settings = {**SMS_SETTINGS, "TWILIO_URL": twilio.url, "JOURNEY_QUIET": "", "JOURNEY_CHANNELS": "sms"}
        for name, value in settings.items():
            monkeypatch.setenv(f"CARTMESH_{name}", value)
        page = await stack.enter_async_context(connect_as(servers, "links"))
        run = await stack.enter_async_context(running(links, page, http=("127.0.0.1", 0)))
        monkeypatch.setenv("CARTMESH_URL_LINKS", f"http://127.0.0.1:{run.port}")
        for service in (offers, channels):
            mesh = await stack.enter_async_context(connect_as(servers, service.name))
            await stack.enter_async_context(running(service, mesh))
        shop = await stack.enter_async_context(connect_as(servers, "street"))
        known = CustomerIdentified(visitor_id="ada", email="ada@example.test", phone="+4915112345678", by="server")
        await shop.publish(known)
        await shop.publish(ConsentChanged(visitor_id="ada", channel="sms", granted=True, by="server"))
        await leave(shop, "c1", score=True)
        await eventually(lambda: twilio.messages)
        (message,) = twilio.messages
        link, stop = re.findall(r"http://127\.0\.0\.1:\d+/s/[\w-]+", message["Body"])
        async with httpx.AsyncClient() as client:
            led = [(await client.get(url)) for url in (link, stop, f"{link[:-1]}{'A' if link[-1] != 'A' else 'B'}")]
            asked = await client.get(led[1].headers["location"])

    assert message["To"] == "+4915112345678"
    assert [one.status_code for one in led] == [302, 302, 400]
    assert "/cart/c1?" in led[0].headers["location"]
    assert "Stop these messages?" in asked.text
