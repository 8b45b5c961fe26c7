"""What the operator of one region can do to another over their link: neither read personal data nor change anything.

Both directions are tried, because the dialer and the listener of a link enforce its list in different ways.
"""

import json
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from secrets import token_hex

import pytest
import pytest_asyncio

from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import Denied
from mesh.events.cart import CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.mesh import Mesh
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.topology.apply import api
from mesh.topology.mesh_toml import Topology

pytestmark = pytest.mark.asyncio(loop_scope="module")
both_ways = pytest.mark.parametrize(("home", "far"), [("eu", "us"), ("us", "eu")])

PERSON, SECRET = "person-7", "secret@example.test"
DURABLE = "registrar-see-cart"

# What encrypts personal fields needs the region's bucket of keys.
registrar = Service("registrar", publishes=(CustomerIdentified, ConsentChanged))


@registrar.on(CartUpdated)
async def see_cart(updated: CartUpdated) -> None:
    """Sees it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(eventually):
    """Two regions, each with a person's events and one event that travels, which has arrived in the other."""
    async with LocalServers(Topology.of(["us", "eu"], nodes=1), services=[registrar]) as running:
        for region in ("us", "eu"):
            login = running.credentials(region)
            broker = await JetStreamBroker.connect(region, login.servers, user=login.user, password=login.password)
            mesh = Mesh(broker, "gateway")
            await mesh.publish(
                CustomerIdentified(visitor_id=PERSON, email=SECRET, locale="de-DE", time_zone="Europe/Berlin"),
                ConsentChanged(visitor_id=PERSON, channel="email", granted=True),
            )
            await mesh.publish(CartUpdated(cart_id=f"from-{region}", visitor_id="v1", lines=()))
            await broker.drain()
        for target in ("us", "eu"):
            arrived = partial(messages_in, await running.operator(target), f"MESH_{target}")
            await eventually(arrived)
        yield running


async def messages_in(connection, stream):
    """Every message of a stream, as (subject, body)."""
    state = (await api(connection, f"STREAM.INFO.{stream}"))["state"]
    found = []
    for sequence in range(max(1, state["first_seq"]), state["last_seq"] + 1):
        reply = await connection.request(f"$JS.API.DIRECT.GET.{stream}", json.dumps({"seq": sequence}).encode())
        if reply.headers and "Nats-Subject" in reply.headers:
            found.append((reply.headers["Nats-Subject"], reply.data))
    return found


@asynccontextmanager
async def listening_on(connection, *subjects):
    """What a connection receives on these subjects, as (subject, data), until the block ends."""
    received = []

    async def take(message):
        received.append((message.subject, message.data))

    async with AsyncExitStack() as stack:
        for subject in subjects:
            stack.push_async_callback((await connection.client.subscribe(subject, cb=take)).unsubscribe)
        await connection.settled()
        yield received


async def all_has_crossed(servers, origin, target, eventually):
    """Return once what `origin`'s operator sent before has reached the other end of the link, if it can."""
    sender, receiver, mark = (
        await servers.operator(origin),
        await servers.operator(target),
        f"live.{origin}.{token_hex(4)}",
    )
    async with listening_on(receiver, mark) as received:

        async def arrived():
            await sender.publish(mark, b"")
            await sender.settled()
            return received

        await eventually(arrived, within=60)


async def asked_over_link(servers, home, far, requests, eventually):
    """Send requests, (subject, body), from the far operator to a region; the answers to all that were carried."""
    connection, there = await servers.operator(far), await servers.operator(home)
    async with listening_on(connection, "_INBOX.>") as received:
        for number, (subject, body) in enumerate(requests):
            await connection.publish(subject, body, reply=f"_INBOX.asked{number}")
        await all_has_crossed(servers, far, home, eventually)
        await api(there, "STREAM.NAMES")  # is answered behind what came before it
        await all_has_crossed(servers, home, far, eventually)
    return [data for subject, data in received if "asked" in subject]


@both_ways
async def test_personal_events_never_cross(servers, home, far, eventually):
    """The far side receives what travels and holds nothing personal: no core message, no message in any stream."""
    connection, publisher = await servers.operator(far), await servers.operator(home)

    async with listening_on(connection, "ev.>", "pii.>", "timer.>", "carrier.>", "dead.>", "$KV.>") as received:
        for subject in (f"pii.{home}.customer.identified.{PERSON}", f"timer.{home}.cart.idle.c", "$KV.personal-keys.x"):
            await publisher.publish(subject, b"")
        await all_has_crossed(servers, home, far, eventually)

    async def has_arrived():
        return [subject for subject, _ in await messages_in(connection, f"MESH_{far}")]

    copied = await eventually(has_arrived, within=60)
    assert copied == [f"ev.{home}.cart.updated.from-{home}"]
    streams = (await api(connection, "STREAM.NAMES"))["streams"]
    held = [message for stream in streams for message in await messages_in(connection, stream)]
    assert not [subject for subject, _ in received + held if f".{home}." in subject and subject not in copied]


@both_ways
async def test_the_far_operator_cannot_fetch_them(servers, home, far, eventually):
    """It gets no personal event out of a region's stream, however it asks, and can make no consumer that would."""
    commerce, personal = f"COMMERCE_{home}", f"PERSONAL_{home}"
    reads = [
        (f"STREAM.MSG.GET.{commerce}", {"seq": 1}),
        (f"STREAM.MSG.GET.{personal}", {"seq": 1}),
        (f"STREAM.MSG.GET.{personal}", {"last_by_subj": f"pii.{home}.customer.identified.{PERSON}"}),
        (f"DIRECT.GET.{personal}", {"seq": 1}),
        (f"DIRECT.GET.{personal}.pii.{home}.customer.identified.{PERSON}", None),
        ("STREAM.NAMES", None),
    ]
    for stream, tail, filters in (
        (personal, "", ""),
        (personal, f".pii.{home}.>", f"pii.{home}.>"),
        (personal, ".>", ">"),
        (personal, f".*.{home}.>", f"*.{home}.>"),
        (commerce, f".ev.{home}.>", f"pii.{home}.>"),
        (commerce, f".ev.{home}.>", f"ev.{home}.>"),
    ):
        name = f"thief-{token_hex(4)}"
        config = {"name": name, "deliver_subject": f"$JS.S.{name}", "ack_policy": "none", "mem_storage": True}
        config |= {"filter_subject": filters} if filters else {}
        reads.append((f"CONSUMER.CREATE.{stream}.{name}{tail}", {"stream_name": stream, "config": config}))
    requests = [
        (f"$JS.{home}.API.{subject}", b"" if asked is None else json.dumps(asked).encode()) for subject, asked in reads
    ]

    async with listening_on(await servers.operator(far), "$JS.S.>") as delivered:
        answers = await asked_over_link(servers, home, far, requests, eventually)

    assert [answer for answer in answers if answer] == []
    assert delivered == []


@both_ways
async def test_the_far_operator_overhears_no_answer(servers, home, far, eventually):
    """What a region's operator and services read is answered to them alone: links carry no inbox of a user."""
    reader, asked = await servers.operator(home), {"last_by_subj": f"pii.{home}.customer.identified.{PERSON}"}
    inboxes = ["_INBOX.>", *(f"{servers.credentials(home, user).inbox_prefix}.>" for user in ("operator", "registrar"))]

    async with listening_on(await servers.operator(far), *inboxes) as received:
        for reply in ("_INBOX.x", *(f"{inbox[:-2]}.x" for inbox in inboxes[1:])):
            await reader.publish(f"$JS.API.STREAM.MSG.GET.PERSONAL_{home}", json.dumps(asked).encode(), reply=reply)
        own = await reader.request(f"$JS.API.STREAM.MSG.GET.PERSONAL_{home}", json.dumps(asked).encode())
        await all_has_crossed(servers, home, far, eventually)

    assert PERSON.encode() in own.data
    assert [data for _, data in received if PERSON.encode() in data] == []


@both_ways
async def test_the_far_operator_changes_no_consumer(servers, home, far, eventually):
    """It rewrites, starts again, empties and deletes none of a region's durables, and adds none: a hundred attempts."""
    commerce, operator = f"COMMERCE_{home}", await servers.operator(home)

    async def consumers():
        found = (await api(operator, f"CONSUMER.LIST.{commerce}"))["consumers"]
        kept = {one["name"]: (one["config"], one["delivered"]["stream_seq"]) for one in found}
        return kept | {f"copy_{far}": kept[f"copy_{far}"][0]}  # it delivers, of itself, and may be started again

    before = await consumers()
    rewritten = {"durable_name": DURABLE, "ack_policy": "explicit", "filter_subject": f"ev.{home}.nothing.>"}
    body = json.dumps({"stream_name": commerce, "config": rewritten}).encode()
    requests = [
        (f"$JS.{home}.API.CONSUMER.CREATE.{commerce}.{DURABLE}.ev.{home}.nothing.>", body),
        (f"$JS.{home}.API.CONSUMER.CREATE.{commerce}.{DURABLE}.ev.{home}.>", body),
        (f"$JS.{home}.API.CONSUMER.RESET.{commerce}.{DURABLE}", b'{"seq":1}'),
        (f"$JS.{home}.API.CONSUMER.MSG.NEXT.{commerce}.{DURABLE}", b"10"),
        (f"$JS.{home}.API.CONSUMER.DELETE.{commerce}.{DURABLE}", b""),
        (f"$JS.{home}.API.CONSUMER.DELETE.{commerce}.copy_{far}", b""),
    ]
    for number in range(100):
        config = {"name": f"junk-{number}", "ack_policy": "explicit", "filter_subject": f"ev.{home}.>"}
        body = json.dumps({"stream_name": commerce, "config": config}).encode()
        requests.append((f"$JS.{home}.API.CONSUMER.CREATE.{commerce}.junk-{number}.ev.{home}.>", body))

    answers = await asked_over_link(servers, home, far, requests, eventually)

    assert [answer for answer in answers if answer] == []
    assert await consumers() == before


async def request_flow_control(connection, subject, reply):
    """What a consumer sends when it waits for whoever copies, which publishes an empty message to the reply subject."""
    header = b"NATS/1.0 100 FlowControl Request\r\n\r\n"
    size = str(len(header)).encode()
    parts = (b"HPUB", subject.encode(), reply.encode(), size, size + b"\r\n" + header + b"\r\n")
    await connection.client._send_command(b" ".join(parts))
    await connection.settled()


@both_ways
async def test_the_far_operator_has_nothing_published_by_servers(servers, home, far, eventually):
    """Servers answer to whatever subject a sender names, their own API's too: none of its messages gets that far."""
    connection, operator = await servers.operator(far), await servers.operator(home)
    personal = Mesh(JetStreamBroker(operator), "gateway")

    async def held():
        streams = (await api(operator, "STREAM.NAMES"))["streams"]
        return {stream: [subject for subject, _ in await messages_in(operator, stream)] for stream in streams}

    await personal.publish(CustomerIdentified(visitor_id="stays", email=SECRET))
    before = await held()
    replies = [
        f"$JS.API.STREAM.PURGE.COMMERCE_{home}",
        f"$JS.API.STREAM.DELETE.PERSONAL_{home}",
        f"$JS.API.CONSUMER.DELETE.COMMERCE_{home}.{DURABLE}",
        f"ev.{home}.cart.updated.forged",
        f"pii.{home}.customer.identified.forged",
        f"timer.{home}.cart.idle.c1",
        "$KV.personal-keys.forged",
    ]

    for reply in replies:
        await request_flow_control(connection, f"copy.COMMERCE_{far}.{home}", reply)
        for asked in ("INFO", f"CONSUMER.RESET.COMMERCE_{home}.copy_{far}"):
            await connection.publish(f"$JS.{home}.API.{asked}", b"", reply=reply)
    await all_has_crossed(servers, far, home, eventually)

    assert await held() == before
    assert (await api(operator, f"CONSUMER.INFO.COMMERCE_{home}.{DURABLE}"))["name"] == DURABLE


@both_ways
async def test_the_far_operator_makes_no_stream_in_a_regions_name(servers, home, far):
    """What its consumers deliver could be acknowledged in the other region, under the names of that region's own."""
    connection = await servers.operator(far)

    for stream in (f"COMMERCE_{home}", f"PERSONAL_{home}", f"MESH_{home}", f"DEAD_{home}"):
        with pytest.raises(Denied, match=f"stream.create.{stream}".lower()):
            await api(connection, f"STREAM.CREATE.{stream}", {"name": stream, "subjects": ["evil.>"]})
