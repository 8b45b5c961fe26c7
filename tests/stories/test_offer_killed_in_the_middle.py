"""Offers while the process that sends them is killed: none twice, none without an end."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.events.cart import CartAbandoned, CartLine, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.offer import OfferClaimed, OfferDecided, OfferFailed, OfferSent
from mesh.mesh import Mesh
from mesh.money import Money
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.topology.mesh_toml import Topology
from notifications.channels.service import service as channels
from notifications.inbox.server import inbox

LINE = CartLine(product_id="p1", quantity=1, price=Money(amount=4500, currency="EUR"), name="Lamp")
# In the place of `offers`, so that each decision comes when the test says so.
decider = Service("decider", publishes=(CartUpdated, CartAbandoned, CustomerIdentified, OfferDecided))
OFFERS = 6


@pytest.fixture
async def servers(tmp_path):
    async with LocalServers(Topology.of(["us"], nodes=1), services=(channels, decider)) as started:
        started.access.write(tmp_path / "servers.json")
        (tmp_path / "topology.json").write_bytes(msgspec.json.encode(started.topology))
        yield started


@asynccontextmanager
async def worker(folder, box):
    """`cartmesh run channels` as an operator would start it; killed at the end whatever happens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mesh.cli", "run", "channels", "--region", "us"),
        *("--servers", str(folder / "servers.json"), "--topology", str(folder / "topology.json")),
        env=os.environ | box.environment() | {"CARTMESH_SEND_AGAIN_AFTER": "100ms"},
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


def decision(at):
    return OfferDecided(
        cart_id=f"c{at}",
        visitor_id=f"v{at}",
        offer_id=f"offer-{at}",
        abandonment_id=f"left-{at}",
        attempt=1,
        outcome="approved",
        reason="",
        checks=(),
        journey="abandoned-cart",
        due=datetime.now(UTC),
        channels=("email",),
        template="abandoned-cart",
        lines=(LINE,),
        total=LINE.price,
    )


async def test_no_offer_is_sent_twice_whenever_the_sender_is_killed(servers, tmp_path, eventually):
    """Killed before the mail, and right after it, the mail server's record has no doubles."""
    moment = {"armed": False}
    login = servers.credentials("us", "decider")
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(inbox(tmp_path / "inbox"))
        broker = await JetStreamBroker.connect(
            "us", login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
        )
        stack.push_async_callback(broker.drain)
        mesh = Mesh(broker, "decider")
        for at in range(OFFERS + 1):
            await mesh.publish(CustomerIdentified(visitor_id=f"v{at}", email=f"v{at}@example.test"))

        for at in range(0, OFFERS, 3):
            async with worker(tmp_path, box) as process:
                if at == 0:  # claimed, not yet handed over
                    moment.update(armed=True, pid=process.pid)
                    box._refuse = lambda _: _kill(moment)
                await mesh.publish(*(decision(at + more) for more in range(3)))
                if at == 0:
                    await asyncio.wait_for(process.wait(), 30)
                    box._refuse = lambda _: None
                else:  # accepted, perhaps not yet recorded
                    seen = len(box.mails)
                    await box.wait_for(seen + 1, timeout=30)
                    process.kill()
        async with worker(tmp_path, box):
            await mesh.publish(decision(OFFERS))  # nobody is killed any more
            ends = await eventually(lambda: _ends(mesh), within=60)

    sent = [mail.offer_id for mail in box.mails]
    recorded = {one.offer_id for one in ends if isinstance(one, OfferSent)}
    assert len(sent) == len(set(sent))
    assert len(ends) == OFFERS + 1
    assert recorded <= set(sent)
    assert all("not sent twice" in one.reason for one in ends if isinstance(one, OfferFailed))
    assert f"offer-{OFFERS}" in recorded


def _kill(moment):
    if moment["armed"]:
        moment["armed"] = False
        os.kill(moment["pid"], signal.SIGKILL)
    return "451 gone"


async def _ends(mesh):
    found = []
    for at in range(OFFERS + 1):
        history = await mesh.history(f"c{at}", "offer")
        found += [one.event for one in history if isinstance(one.event, OfferSent | OfferFailed)]
        assert len(history.of(OfferClaimed)) >= len(history.of(OfferSent))
    return found if len(found) > OFFERS else None
