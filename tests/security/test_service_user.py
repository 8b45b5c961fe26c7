"""What somebody can do with the password of one service: little more than publish the events of that service.

The service is the heartbeat, which needs least. Each attack is tried as its user, on a server with a person's events
and a pending timer in it.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.protocol import Outgoing
from mesh.envelope import encode
from mesh.errors import Denied, InvalidEvent, Unavailable
from mesh.events.cart import CartIdle, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.offer import OfferDue
from mesh.mesh import Mesh
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.subjects import subject_of
from mesh.timers import Timer
from mesh.topology.apply import api
from mesh.topology.mesh_toml import Topology
from services.operations import heartbeat

pytestmark = pytest.mark.asyncio(loop_scope="module")

PERSON = "person-7"
OWN = "ev.us.mesh.heartbeat.us"
TIMER = "timer.us.cart.idle.c1"
FORGED = OfferDue(run_id="run-1", cart_id="c1", journey="j", abandonment_id="a1", attempt=1)

shop = Service("shop", publishes=(CartUpdated, CartIdle, CustomerIdentified, ConsentChanged), timers=(CartIdle,))


@shop.on(CustomerUnsubscribed)
async def see_refusal(refused: CustomerUnsubscribed) -> None:
    """Sees it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers():
    """A region with a person's events and a cart whose timer is pending."""
    async with LocalServers(Topology.of(["us"], nodes=1), services=[heartbeat.service, shop]) as running:
        broker = JetStreamBroker(await running.operator("us"))
        await Mesh(broker, "shop").publish(
            CustomerIdentified(visitor_id=PERSON, email="ada@example.com"),
            ConsentChanged(visitor_id=PERSON, channel="email", granted=True),
            CartUpdated(cart_id="c1", visitor_id="v", lines=()),
            Timer(CartIdle(cart_id="c1", update_id="u"), datetime.now(UTC) + timedelta(hours=1)),
        )
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def attacker(servers):
    connection = await Connection.open(servers.credentials("us", "heartbeat"))
    yield connection
    await connection.drain()


async def everything(servers):
    """What the region's streams hold, as (subject, body); timers and what they published among it."""
    operator, found = JetStreamBroker(await servers.operator("us")), []
    for stream in (await api(operator.connection, "STREAM.NAMES"))["streams"]:
        if not stream.startswith("KV_"):
            found += [(message.subject, message.body) async for message in operator.read(stream, [">"])]
    return found


async def answer(connection, subject, body=b"", headers=None):
    """What the server answers, b"" where it does not."""
    try:
        return (await connection.request(subject, body, headers, wait=2)).data
    except (Denied, Unavailable):
        return b""


async def schedules_have_fired(servers, eventually):
    """Return once the operator's schedule, made after the attack's, was published."""
    broker, key = (
        JetStreamBroker(await servers.operator("us")),
        f"fired-{datetime.now(UTC).timestamp():.6f}".replace(".", "-"),
    )
    await Mesh(broker, "shop").publish(Timer(CartIdle(cart_id=key, update_id="u"), datetime.now(UTC)))
    await eventually(lambda: broker.last("COMMERCE_us", f"ev.us.cart.idle.{key}"), within=60)


@pytest.mark.parametrize("stream", ["PERSONAL_us", "COMMERCE_us", "OPERATIONS_us", "DEAD_us", "MESH_us"])
async def test_it_reads_no_personal_event(servers, attacker, stream):
    """Neither by number, by subject, nor through a consumer; nor the keys that encrypt them."""
    pii = f"pii.us.customer.identified.{PERSON}"
    config = {"name": "thief", "ack_policy": "none", "mem_storage": True, "filter_subject": "pii.>"}
    made = json.dumps({"stream_name": stream, "config": config}).encode()

    found = [
        await answer(attacker, f"$JS.API.STREAM.MSG.GET.{stream}", json.dumps({"last_by_subj": pii}).encode()),
        await answer(attacker, f"$JS.API.DIRECT.GET.{stream}.{pii}"),
        await answer(
            attacker, f"$JS.API.DIRECT.GET.{stream}", json.dumps({"next_by_subj": "pii.>", "seq": 1}).encode()
        ),
        await answer(attacker, f"$JS.API.CONSUMER.CREATE.{stream}.thief", made),
        await answer(attacker, f"$JS.API.CONSUMER.CREATE.{stream}.thief.pii.>", made),
        await answer(attacker, "$JS.API.STREAM.MSG.GET.KV_personal-keys", json.dumps({"last_by_subj": ">"}).encode()),
    ]

    assert [one for one in found if one and b'"error"' not in one] == []


async def test_it_schedules_no_event_of_another(servers, attacker, eventually):
    """A schedule of its own, on whatever subject it may use, publishes no decision and unsubscribes nobody."""
    unsubscribed = CustomerUnsubscribed(visitor_id=PERSON, channel="email", offer_id="o1")
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for event in (FORGED, unsubscribed):
        body = encode(event, id="forged", region="us", source="offers")
        headers = {"Nats-Schedule": f"@at {now}", "Nats-Schedule-Target": subject_of("us", event)}
        for place in (OWN, "timer.us.mesh.heartbeat.us", "timer.us.offer.due.run-1", "carrier.us.commerce.x"):
            await answer(attacker, place, body, headers)

    await schedules_have_fired(servers, eventually)

    stored = [subject for subject, _ in await everything(servers)]
    assert not {subject_of("us", FORGED), subject_of("us", unsubscribed)} & set(stored)


async def test_it_copies_no_personal_event(servers, attacker, eventually):
    """A schedule whose source is a personal event puts no copy of it under a subject that other regions get."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for place in (OWN, "timer.us.mesh.heartbeat.us"):
        headers = {
            "Nats-Schedule": f"@at {now}",
            "Nats-Schedule-Target": "ev.us.mesh.heartbeat.stolen",
            "Nats-Schedule-Source": f"pii.us.customer.identified.{PERSON}",
        }
        await answer(attacker, place, b"", headers)

    await schedules_have_fired(servers, eventually)

    holding = [subject for subject, body in await everything(servers) if PERSON.encode() in body]
    assert sorted(holding) == [f"pii.us.customer.{action}.{PERSON}" for action in ("consent_changed", "identified")]


async def test_it_cancels_no_timer(servers, attacker):
    """A header that cancels does nothing in the stream it may write to, and it may write to no stream with timers."""
    broker = JetStreamBroker(await servers.operator("us"))
    for place in (OWN, "carrier.us.commerce.x", "ev.us.cart.updated.c1", TIMER):
        await answer(attacker, place, b"{}", {"Nats-Scheduler": TIMER, "Nats-Schedule-Next": "purge"})

    assert await broker.last("COMMERCE_us", TIMER) is not None


async def test_it_publishes_nothing_else(servers, attacker):
    """No event of another service, no dead letter, no request of another, no value of a bucket."""
    for place in (
        subject_of("us", FORGED),
        f"pii.us.customer.unsubscribed.{PERSON}",
        "dead.us.shop.shop-see-refusal",
        "rpc.us.shop.redo",
        "$KV.personal-keys.x",
        "copy.COMMERCE_us.eu",
        "$JS.API.STREAM.PURGE.COMMERCE_us",
        "$JS.API.CONSUMER.DELETE.PERSONAL_us.shop-see-refusal",
        "$JS.ACK.PERSONAL_us.shop-see-refusal.1.1.1.1.0",
    ):
        with pytest.raises(Denied, match="heartbeat has no permission"):
            await attacker.request(place, b"{}", wait=30)


async def test_what_it_stores_is_no_event_of_another(servers, attacker):
    """Another event's body under its own subject is refused by whoever reads it."""
    broker = JetStreamBroker(attacker)
    body = encode(FORGED, id="forged", region="us", source="offers")

    await broker.store("OPERATIONS_us", Outgoing(subject=OWN, body=body, id="forged"))

    reader = Mesh(JetStreamBroker(await servers.operator("us")), "shop")
    with pytest.raises(InvalidEvent, match=f"is stored under {OWN}"):
        await reader.received(await reader.broker.last("OPERATIONS_us", OWN))


async def test_it_overhears_nobody(servers, attacker):
    """It receives no answer to another, and no event as it is published."""
    refused = []

    async def note(error):
        refused.append(str(error))

    attacker.client._error_cb = note
    for listened in ("_INBOX_us_operator.>", "_INBOX_us_shop.>", "_INBOX.>", "ev.>", "pii.>", ">", "$JS.API.>"):
        await attacker.client.subscribe(listened)
    await attacker.settled()

    assert len([one for one in refused if "permissions violation" in one]) == 7
