"""Killed between effect and acknowledgement: the redelivery finds the effect and changes nothing.

Run as a script this file is the doomed worker: `python <this file> SERVERS SERVICE MOMENT`.
"""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from mesh import Cancel, Timer
from mesh.events.cart import CartAbandoned, CartConverted, CartIdle, CartLine, CartRecovered, CartScored, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.offer import OfferClaimed, OfferDecided, OfferFailed, OfferSent
from mesh.events.order import OrderConfirmed, OrderPlaced
from mesh.failures import FailurePolicy
from mesh.money import Money
from mesh.observability.logs import configure_logs
from mesh.publish import Draft
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.runtime.worker import chosen
from mesh.topology.access import OPERATOR, Access
from mesh.topology.apply import api
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from notifications.channels.mailer import OfferEnvelope
from notifications.inbox.server import inbox

LINE = CartLine(product_id="p1", quantity=1, price=Money(amount=4900, currency="EUR"), name="Lamp")
DUE = timedelta(milliseconds=300)


def die(*_: object) -> None:
    """End this very process, as a power failure would."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment: str) -> None:
    """Let this process die at a moment: `<durable>` after its commit and before its ack, or `mailed`."""
    done, send = FailurePolicy.done, OfferEnvelope.hand_over

    async def die_or_acknowledge(self, message):
        if self._binding.durable == moment:
            die()
        await done(self, message)

    async def die_after_sending(self, *given):
        await send(self, *given)
        die()

    if moment == "mailed":
        OfferEnvelope.hand_over = die_after_sending
    else:
        FailurePolicy.done = die_or_acknowledge


async def work(servers: Path, name: str) -> None:
    """Run one service until killed."""
    configure_logs()  # on stderr: only `ready` stands on stdout
    (service,) = chosen([name])
    mesh = await connect(Access.read(servers), "us", name)
    async with running(service, mesh):
        print("ready", flush=True)
        await asyncio.Event().wait()


@asynccontextmanager
async def worker(tmp_path, name: str, moment: str = "never", **environment: str):
    """A process that runs a service and dies at a moment; killed at the end whatever happens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, str(tmp_path / "servers.json"), name, moment),
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def mesh(tmp_path, monkeypatch):
    """An operator's connection to one server with every service's streams and consumers; no offer waits for morning."""
    monkeypatch.setenv("CARTMESH_JOURNEY_QUIET", "")
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(LocalServers(Topology.of(["us"], nodes=1), tmp_path, chosen([])))
        await redeliver_soon(await servers.operator("us"))
        mesh = await connect(servers.access, "us", OPERATOR)
        stack.push_async_callback(mesh.broker.drain)
        yield mesh


async def redeliver_soon(connection) -> None:
    """What was in hand is delivered again after 2 s, not 30."""
    for consumer in (await api(connection, "CONSUMER.LIST.COMMERCE_us"))["consumers"]:
        asked = {
            "stream_name": "COMMERCE_us",
            "action": "update",
            "config": consumer["config"] | {"ack_wait": 2 * 10**9},
        }
        answer = await api(connection, f"CONSUMER.CREATE.COMMERCE_us.{consumer['name']}", asked)
        assert "error" not in answer, answer


async def redelivered(mesh, durable: str) -> bool:
    """Whether a consumer has delivered something again, and by now every delivery was answered."""
    info = await mesh.broker.connection.request(f"$JS.API.CONSUMER.INFO.COMMERCE_us.{durable}", b"")
    state = msgspec.json.decode(info.data)
    return state["delivered"]["consumer_seq"] > 1 and state["num_pending"] == state["num_ack_pending"] == 0


async def dies_and_is_followed(tmp_path, chaos, mesh, name, moment, durable, act, **environment) -> None:
    """A worker dies at a moment of what `act` begins; another one takes over until all is answered."""
    async with worker(tmp_path, name, moment, **environment) as doomed:
        await act()
        assert await asyncio.wait_for(doomed.wait(), 60) == -signal.SIGKILL
    async with worker(tmp_path, name, **environment):
        await chaos.until(lambda: redelivered(mesh, durable), f"{durable} to be done")


async def fill_cart(mesh, cart: str) -> None:
    """The gateway's commit for a filled cart that falls due at once, of a shopper who may be written to."""
    await mesh.publish(
        CustomerIdentified(visitor_id=cart, email=f"{cart}@example.test"),
        ConsentChanged(visitor_id=cart, channel="email", granted=True),
    )
    now = datetime.now(UTC)
    updated = Draft(event=CartUpdated(cart_id=cart, visitor_id=cart, lines=(LINE,)), id=f"u-{cart}", time=now)
    await mesh.publish(updated, Timer(CartIdle(cart_id=cart, update_id=f"u-{cart}"), now + DUE))


async def of(mesh, cart: str, kind) -> list:
    """A cart's events of one kind."""
    return [one.event for one in (await mesh.history(cart, "cart", "offer")).of(kind)]


async def test_a_cart_is_abandoned_once(mesh, chaos, tmp_path):
    """Killed after `CartAbandoned` was stored and before `CartIdle` was acknowledged: one abandonment."""
    await dies_and_is_followed(
        tmp_path, chaos, mesh, "carts", "carts-abandon-cart", "carts-abandon-cart", lambda: fill_cart(mesh, "c1")
    )

    assert len(await of(mesh, "c1", CartAbandoned)) == 1


async def test_a_cart_is_recovered_once(mesh, chaos, tmp_path):
    """Killed after `CartRecovered` was stored and before `OrderConfirmed` was acknowledged: one recovery."""
    sent = OfferSent(cart_id="c2", visitor_id="c2", offer_id="o2", channel="email")
    placed = OrderPlaced(order_id="b2", visitor_id="c2", lines=(LINE,), total=LINE.price, cart_id="c2")

    async def buy() -> None:
        await mesh.publish(CartUpdated(cart_id="c2", visitor_id="c2", lines=(LINE,)))
        await mesh.publish(sent)
        converted = CartConverted(cart_id="c2", order_id="b2", visitor_id="c2")
        await mesh.publish(placed, converted, Cancel(CartIdle, "c2"))
        await mesh.publish(
            OrderConfirmed(order_id="b2", visitor_id="c2", lines=(LINE,), total=LINE.price, cart_id="c2")
        )

    await dies_and_is_followed(tmp_path, chaos, mesh, "carts", "carts-recover-cart", "carts-recover-cart", buy)

    assert len(await of(mesh, "c2", CartRecovered)) == 1


async def leave(mesh, cart: str) -> None:
    """An abandonment with its score, as carts and scoring write them."""
    await fill_cart(mesh, cart)
    now = datetime.now(UTC)
    left = CartAbandoned(cart_id=cart, visitor_id=cart, lines=(LINE,), total=LINE.price, left_at=now, due=now)
    await mesh.publish(Draft(event=left, id=f"left-{cart}"))
    scored = {"propensity": 0.2, "model_version": "base-rate", "reasons": (), "recommended": ()}
    await mesh.publish(CartScored(cart_id=cart, visitor_id=cart, abandonment_id=f"left-{cart}", **scored))


async def test_an_offer_is_decided_once(mesh, chaos, tmp_path):
    """Killed after `OfferDecided` was stored and before the score was acknowledged: one decision."""
    durable = "offers-decide-scored-offer"

    await dies_and_is_followed(tmp_path, chaos, mesh, "offers", durable, durable, lambda: leave(mesh, "c3"))

    (decided,) = await of(mesh, "c3", OfferDecided)
    assert decided.outcome == "approved"


@pytest.mark.parametrize(
    ("moment", "recorded"), [("channels-send-mail", OfferSent), ("mailed", OfferFailed)], ids=["recorded", "unrecorded"]
)
async def test_an_offer_is_mailed_once(mesh, chaos, tmp_path, moment, recorded):
    """Killed after the mail server took the mail, recorded or not: no second mail, and the end is published."""
    durable = "channels-send-mail"
    async with inbox(tmp_path / "inbox") as box:

        async def decide() -> None:
            async with worker(tmp_path, "offers"):
                await leave(mesh, "c4")
                await chaos.until(lambda: of(mesh, "c4", OfferDecided), "the decision")

        await dies_and_is_followed(tmp_path, chaos, mesh, "channels", moment, durable, decide, **box.environment())
        mails = list(box.mails)

    ends = [one for kind in (OfferSent, OfferFailed) for one in await of(mesh, "c4", kind) if one.channel == "email"]
    assert (len(mails), [type(end) for end in ends]) == (1, [recorded])
    assert len(await of(mesh, "c4", OfferClaimed)) == 1


if __name__ == "__main__":
    arm(sys.argv[3])
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))
