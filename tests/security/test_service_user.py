"""What somebody can do with the password of one service: little more than publish the events of that service.

The service is the heartbeat, which needs least. Each attack is tried as its user, on a server with a person's events
and a pending timer in it. What only a writer of the commerce stream can do is tried as the scorer's user;
mesh/README.md says so of all of them.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from mesh.broker.connection import Connection
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.protocol import Outgoing
from mesh.dead_letters import dead_letter_of, redrive, store_dead_letter
from mesh.envelope import encode
from mesh.errors import Denied, InvalidEvent, Unavailable
from mesh.events.cart import CartIdle, CartScored, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.offer import OfferDue
from mesh.mesh import Mesh
from mesh.publish import Draft
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.service import Service
from mesh.streams import DEAD
from mesh.subjects import subject_of
from mesh.timers import Timer
from mesh.topology.apply import api
from mesh.topology.mesh_toml import Topology
from services.operations import heartbeat

pytestmark = pytest.mark.asyncio(loop_scope="module")

PERSON = "person-7"
OWN = "ev.us.mesh.heartbeat.us"
TIMER = "timer.us.cart.idle.c1"
FORGED, SCHEDULED, ANSWERED, COPIED = (
    OfferDue(run_id=run_id, cart_id="c1", journey="j", abandonment_id="a1", attempt=1)
    for run_id in ("run-1", "scheduled", "answered", "copied")
)

shop = Service("shop", publishes=(CartUpdated, CartIdle, CustomerIdentified, ConsentChanged), timers=(CartIdle,))


@shop.on(CustomerUnsubscribed)
async def see_refusal(refused: CustomerUnsubscribed) -> None:
    """Sees it."""


scorer = Service("scorer", publishes=(CartScored,))


@scorer.on(CartUpdated, fanout=True)
async def follow_carts(updated: CartUpdated) -> None:
    """Follows them."""


redriver = Service("redriver", reads=(DEAD,), redrives=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers():
    """A region with a person's events and a cart whose timer is pending."""
    async with LocalServers(
        Topology.of(["us"], nodes=1), services=[heartbeat.service, shop, scorer, redriver]
    ) as running:
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


@pytest_asyncio.fixture(loop_scope="module")
async def writer(servers):
    """The user of a service that publishes one event to the commerce stream and schedules nothing."""
    connection = await Connection.open(servers.credentials("us", "scorer"))
    yield connection
    await connection.drain()


def scored(cart_id):
    """What the scorer publishes of a cart."""
    return CartScored(
        cart_id=cart_id,
        visitor_id="v",
        abandonment_id="a1",
        propensity=0.5,
        model_version="m1",
        reasons=(),
        recommended=(),
    )


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


async def all_is_answered(servers, connection, eventually, stream="OPERATIONS_us"):
    """Return once a later request was answered, and what an answer would have set off has had its time."""
    await connection.request(f"$JS.API.DIRECT.GET.{stream}", b'{"seq":1}', wait=60)
    await schedules_have_fired(servers, eventually)


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


async def test_a_writer_of_the_commerce_stream_can_cancel_its_timers(servers, writer, eventually):
    """A header does it, which servers do not check: with one's own event, any timer of the stream, and no other one."""
    operator = JetStreamBroker(await servers.operator("us"))
    idle = Timer(CartIdle(cart_id="victim", update_id="u"), datetime.now(UTC) + timedelta(hours=1))
    await Mesh(operator, "shop").publish(idle)
    own = subject_of("us", scored("mine"))

    body = encode(scored("mine"), id="mine", region="us", source="scorer")
    headers = {"Nats-Scheduler": "timer.us.cart.idle.victim", "Nats-Schedule-Next": "purge"}
    assert b'"seq"' in (await writer.request(own, body, headers, wait=30)).data

    async def is_cancelled():
        return await operator.last("COMMERCE_us", "timer.us.cart.idle.victim") is None

    assert await eventually(is_cancelled, within=60)
    assert await operator.last("COMMERCE_us", TIMER) is not None


async def test_a_writer_can_keep_an_event_of_its_stream_out_by_taking_its_id(servers, writer):
    """Ids follow from what an event follows from: stored before under the same id, the real one counts as stored."""
    body = encode(scored("c9"), id="id-of-the-real-one", region="us", source="scorer")
    taken = {"Nats-Msg-Id": "id-of-the-real-one"}
    assert b'"seq"' in (await writer.request(subject_of("us", scored("c9")), body, taken, wait=30)).data

    shopkeeper = Mesh(JetStreamBroker(await servers.operator("us")), "shop")
    updated = CartUpdated(cart_id="c9", visitor_id="v", lines=())
    stored = await shopkeeper.publish(Draft(event=updated, id="id-of-the-real-one"))

    assert stored[0].duplicate
    assert await shopkeeper.last(CartUpdated, "c9") is None


async def test_a_writers_schedules_publish_no_event_that_is_read(servers, writer, eventually):
    """Its schedule stores another's event, and a copy of one under another key: whoever reads them refuses both."""
    operator = JetStreamBroker(await servers.operator("us"))
    shopkeeper = Mesh(operator, "shop")
    await shopkeeper.publish(CartUpdated(cart_id="copied", visitor_id="v", lines=()))
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    own, at = subject_of("us", scored("plan")), {"Nats-Schedule": f"@at {now}"}
    forged = encode(SCHEDULED, id="forged", region="us", source="offers")
    copy = at | {
        "Nats-Schedule-Target": "ev.us.cart.updated.stolen",
        "Nats-Schedule-Source": "ev.us.cart.updated.copied",
    }
    await answer(writer, own, forged, at | {"Nats-Schedule-Target": subject_of("us", SCHEDULED)})
    await answer(writer, subject_of("us", scored("plan2")), b"", copy)

    await schedules_have_fired(servers, eventually)

    for place in (subject_of("us", SCHEDULED), "ev.us.cart.updated.stolen"):
        stored = await eventually(lambda place=place: operator.last("COMMERCE_us", place), within=60)
        with pytest.raises(InvalidEvent):
            await shopkeeper.received(stored)


async def test_who_follows_a_stream_asks_no_service_through_it(servers, writer, eventually):
    """Its consumer may deliver to any subject, a request's too, under the message's own: that is no request."""
    asked, serving = [], JetStreamBroker(await servers.operator("us"))

    async def answer_it(body):
        asked.append(body)
        return b"{}"

    await serving.serve("rpc.us.shop.erase", "shop", answer_it)
    config = {"name": "mine", "deliver_subject": "rpc.us.shop.erase", "deliver_group": "shop", "ack_policy": "none"}
    config |= {"mem_storage": True, "inactive_threshold": 600_000_000_000}
    made = json.dumps({"stream_name": "COMMERCE_us", "config": config}).encode()
    assert b'"error"' not in (await writer.request("$JS.API.CONSUMER.CREATE.COMMERCE_us.mine", made, wait=30)).data
    await writer.request(subject_of("us", scored("x")), b'{"visitor_id":"victim"}', wait=30)

    async def is_delivered():
        info = await api(serving.connection, "CONSUMER.INFO.COMMERCE_us.mine")
        return info["num_pending"] == 0 and info["delivered"]["stream_seq"] > 0

    assert await eventually(is_delivered, within=60)
    await serving.request("rpc.us.shop.erase", b"last", timeout=60)
    assert asked == [b"last"]


async def test_a_service_answers_to_inboxes_alone(servers):
    """Whoever asks names the subject of the answer: another service's event is none."""
    serving, asked = JetStreamBroker(await servers.operator("us")), []

    async def answer_it(body):
        asked.append(body)
        return encode(ANSWERED, id="forged", region="us", source="offers")

    await serving.serve("live.us.ask", "shop", answer_it)
    await serving.connection.publish("live.us.ask", b"first", reply=subject_of("us", ANSWERED))
    await serving.request("live.us.ask", b"second", timeout=60)

    assert asked == [b"second"]
    assert await serving.last("COMMERCE_us", subject_of("us", ANSWERED)) is None


async def test_an_answer_is_stored_nowhere(servers, attacker, eventually):
    """Servers do not check the subject that an answer is asked for, and answer in the account of whoever asked.

    There are no streams: neither an answer about a stream, nor a message of its own, lands under another's subject.
    """
    operator = JetStreamBroker(await servers.operator("us"))
    own = encode(COPIED, id="forged-by-answer", region="us", source="offers")
    stored = json.loads((await attacker.request(OWN, own, wait=30)).data)["seq"]
    asked = json.dumps({"seq": stored}).encode()
    places = {
        "PERSONAL_us": "pii.us.customer.identified.junk",
        "KV_personal-keys": "$KV.personal-keys.junk",
        "COMMERCE_us": subject_of("us", COPIED),
    }

    for place in places.values():
        await attacker.publish("$JS.API.STREAM.INFO.OPERATIONS_us", b"", reply=place)
        await attacker.publish("$JS.API.STREAM.MSG.GET.OPERATIONS_us", asked, reply=place)
        await attacker.publish("$JS.API.DIRECT.GET.OPERATIONS_us", asked, reply=place)
    await all_is_answered(servers, attacker, eventually)

    assert {stream: await operator.last(stream, place) for stream, place in places.items()} == dict.fromkeys(places)


async def test_an_answer_is_no_request(servers, attacker, writer, eventually):
    """An empty message of its own, asked for under the name of a request, is none: not even of one it could send."""
    operator = await servers.operator("us")
    consumer = {"durable_name": "victim", "ack_policy": "explicit"}
    await api(operator, "STREAM.CREATE.VICTIM", {"name": "VICTIM", "subjects": ["victim.>"], "storage": "memory"})
    await api(operator, "CONSUMER.CREATE.COMMERCE_us.victim", {"stream_name": "COMMERCE_us", "config": consumer})
    requests = ["STREAM.DELETE.VICTIM", "STREAM.PURGE.PERSONAL_us", "CONSUMER.DELETE.COMMERCE_us.victim"]

    for user, stream, own in (
        (attacker, "OPERATIONS_us", OWN),
        (writer, "COMMERCE_us", subject_of("us", scored("empty"))),
    ):
        stored = json.loads((await user.request(own, b"", wait=30)).data)["seq"]
        for request in requests:
            asked = json.dumps({"seq": stored}).encode()
            await user.publish(f"$JS.API.DIRECT.GET.{stream}", asked, reply=f"$JS.API.{request}")
        await all_is_answered(servers, user, eventually, stream)

    assert "VICTIM" in (await api(operator, "STREAM.NAMES"))["streams"]
    assert "victim" in (await api(operator, "CONSUMER.NAMES.COMMERCE_us"))["consumers"]
    assert await JetStreamBroker(operator).last("PERSONAL_us", f"pii.us.customer.identified.{PERSON}")


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


async def test_who_redrives_asks_for_that_alone(servers):
    """A dead letter is handled by its service and removed; other requests, and other streams' messages, are denied."""
    operator = Mesh(JetStreamBroker(await servers.operator("us")), "shop")
    await operator.publish(CustomerUnsubscribed(visitor_id=PERSON, channel="email", offer_id="o1"))
    message = await operator.broker.last("PERSONAL_us", f"pii.us.customer.unsubscribed.{PERSON}")
    given_up = JetStreamBroker(await Connection.open(servers.credentials("us", "shop")))
    own = JetStreamBroker(await Connection.open(servers.credentials("us", "redriver")))
    async with running(shop, Mesh(given_up, "shop"), http=None):
        await store_dead_letter(Mesh(given_up, "shop"), "shop", "shop-see-refusal", message, "a defect")
        letter = await own.last("DEAD_us", "dead.us.shop.shop-see-refusal")

        assert await redrive(own, letter.sequence, dead_letter_of(letter), patience=60) is None

        with pytest.raises(Denied):
            await own.request("rpc.us.shop.look", b"{}", timeout=2)
    with pytest.raises(Denied):
        await own.remove("COMMERCE_us", 1)
    assert await own.get("DEAD_us", letter.sequence) is None
    assert await operator.broker.get("COMMERCE_us", 1) is not None
    await own.drain()
