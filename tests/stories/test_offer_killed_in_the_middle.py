"""Offers and mails about orders while the process that sends them is killed: none twice, none without an end."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest
import pytest_asyncio

from mesh.broker.jetstream import JetStreamBroker
from mesh.envelope import derive_id
from mesh.events.cart import CartAbandoned, CartLine, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.mail import MailAdvanced
from mesh.events.offer import OfferClaimed, OfferDecided, OfferFailed, OfferSent
from mesh.events.order import Command, OrderConfirmed, OrderCreated, OrderDeliveryAddressed
from mesh.mesh import Mesh
from mesh.money import Money
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from notifications.channels.service import service as channels
from notifications.documents.seeding import seed
from notifications.inbox.server import inbox
from notifications.offers import service as offers
from notifications.templates.kind import TEMPLATES
from tests.approved_offer import approved_offer

# In the place of `offers`, so that each approved_offer comes when the test says so.
ORDERING = (OrderDeliveryAddressed, OrderCreated, OrderConfirmed)
decider = Service("decider", publishes=(CartUpdated, CartAbandoned, CustomerIdentified, OfferDecided, *ORDERING))
OFFERS = 6
QUEUED, CONNECTIONS = 12, 2
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("servers")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(folder):
    """What the test publishes with, in the place of `offers`."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(
            LocalServers(Topology.of(["us"], nodes=1), services=(channels, decider, offers))
        )
        servers.access.write(folder / "servers.json")
        (folder / "topology.json").write_bytes(msgspec.json.encode(servers.topology))
        publisher = await connect(servers.access, "us", "offers")
        stack.push_async_callback(publisher.broker.drain)
        await seed(TEMPLATES, "", publisher)
        login = servers.credentials("us", "decider")
        broker = await JetStreamBroker.connect(
            "us", login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
        )
        stack.push_async_callback(broker.drain)
        yield Mesh(broker, "decider")


@asynccontextmanager
async def worker(folder, box, **more):
    """`cartmesh run channels` as an operator would start it; killed at the end whatever happens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mesh.cli", "run", "channels", "--region", "us"),
        *("--servers", str(folder / "servers.json"), "--topology", str(folder / "topology.json")),
        env=os.environ | box.environment() | {"CARTMESH_SEND_AGAIN_AFTER": "100ms"} | more,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 60)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_no_offer_is_sent_twice_whenever_the_sender_is_killed(mesh, folder, tmp_path, eventually):
    """Killed before the mail, and right after it, the mail server's record has no doubles."""
    moment = {"armed": False}
    async with inbox(tmp_path / "inbox") as box:
        for at in range(OFFERS + 1):
            await mesh.publish(CustomerIdentified(visitor_id=f"v{at}", email=f"v{at}@example.test"))

        for at in range(0, OFFERS, 3):
            async with worker(folder, box) as process:
                if at == 0:  # about to be claimed
                    moment.update(armed=True, pid=process.pid)
                    box._refuse = lambda _: _kill(moment)
                await mesh.publish(*(approved_offer(at + more) for more in range(3)))
                if at == 0:
                    await asyncio.wait_for(process.wait(), 60)
                    box._refuse = lambda _: None
                else:  # accepted, perhaps not yet recorded
                    seen = len(box.mails)
                    await box.wait_for(seen + 1, timeout=60)
                    process.kill()
        async with worker(folder, box):
            await mesh.publish(approved_offer(OFFERS))  # nobody is killed any more
            ends = await eventually(lambda: _ends(mesh, range(OFFERS + 1)), within=60)

    sent = [mail.offer_id for mail in box.mails]
    recorded = {one.offer_id for one in ends if isinstance(one, OfferSent)}
    assert len(sent) == len(set(sent))
    assert len(ends) == OFFERS + 1
    assert recorded <= set(sent)
    assert all("not sent twice" in one.reason for one in ends if isinstance(one, OfferFailed))
    assert f"offer-{OFFERS}" in recorded


async def test_a_kill_leaves_no_more_unknown_than_were_being_handed_over(mesh, folder, tmp_path, eventually):
    """Of many due offers those that waited for a connection are sent after the kill, once each."""
    queued = range(100, 100 + QUEUED)
    async with inbox(tmp_path / "inbox") as box:
        take, held = box.handle_DATA, []

        async def hold(*given):
            held.append(given)
            await asyncio.Event().wait()

        box.handle_DATA = hold
        for at in queued:
            await mesh.publish(CustomerIdentified(visitor_id=f"v{at}", email=f"v{at}@example.test"))
        async with worker(folder, box, CARTMESH_SMTP_CONNECTIONS=str(CONNECTIONS)) as process:
            await mesh.publish(*map(approved_offer, queued))
            await eventually(lambda: len(held) == CONNECTIONS, within=60)
            process.kill()
        box.handle_DATA = take
        async with worker(folder, box):
            ends = await eventually(lambda: _ends(mesh, queued), within=90)

    unknown = {one.offer_id for one in ends if isinstance(one, OfferFailed)}
    sent = {one.offer_id for one in ends if isinstance(one, OfferSent)}
    assert len(unknown) == CONNECTIONS
    assert unknown | sent == {f"offer-{at}" for at in queued}
    assert sorted(mail.offer_id for mail in box.mails) == sorted(sent)


@pytest.mark.drill
async def test_no_mail_about_an_order_is_sent_twice_whenever_the_sender_is_killed(mesh, folder, tmp_path, eventually):
    """Killed before the claim, and right after the mail was taken: each order has one end, and at most one mail."""
    moment, orders = {"armed": True}, range(OFFERS)
    async with inbox(tmp_path / "inbox") as box:
        async with worker(folder, box) as process:
            moment["pid"] = process.pid
            box._refuse = lambda _: _kill(moment)
            for at in orders:
                await _order(mesh, at)
            await asyncio.wait_for(process.wait(), 60)
        box._refuse = lambda _: None
        async with worker(folder, box) as process:
            await box.wait_for(1, timeout=60)
            process.kill()
        async with worker(folder, box):
            states = await eventually(lambda: _ended_mails(mesh, orders), within=90)

    mails = [mail.message_id.strip("<>").partition("@")[0] for mail in box.mails]
    sent = {one.mail_id for one in states if one.outcome == "sent"}
    assert len(mails) == len(set(mails))
    assert sent <= set(mails)
    assert all("not sent twice" in one.reason for one in states if one.outcome == "failed")


async def _order(mesh, at):
    line = CartLine(product_id="p1", quantity=1, price=Money(amount=900, currency="EUR"))
    named = {"order_id": f"order-{at}", "address_id": "a1"}
    await mesh.publish(OrderDeliveryAddressed(**named, email=f"o{at}@example.test"))
    command = Command(key="k", body="b")
    order = OrderCreated(**named, lines=(line,), total=line.price, payment_method="tok", command=command)
    await mesh.publish(order)
    await mesh.publish(OrderConfirmed(order_id=order.order_id, lines=order.lines, total=order.total))


async def _ended_mails(mesh, orders):
    ids = [derive_id("order mail", f"order-{at}", "order-confirmed", "") for at in orders]
    found = [await mesh.last(MailAdvanced, one) for one in ids]
    states = [one.event for one in found if one and one.event.outcome in ("sent", "failed")]
    return states if len(states) == len(ids) else None


def _kill(moment):
    if moment["armed"]:
        moment["armed"] = False
        os.kill(moment["pid"], signal.SIGKILL)
    return "451 gone"


async def _ends(mesh, numbers):
    found = []
    for at in numbers:
        history = await mesh.history(f"c{at}", "offer")
        found += [one.event for one in history if isinstance(one.event, OfferSent | OfferFailed)]
        assert len(history.of(OfferClaimed)) >= len(history.of(OfferSent))
    return found if len(found) >= len(numbers) else None
