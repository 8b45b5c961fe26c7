"""Personal data stays where it belongs, seen from the far side of every link (promise P7)."""

import asyncio
import json
from secrets import token_hex

import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import Unavailable
from mesh.events.cart import CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.mesh import Mesh
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.topology.apply import api
from mesh.topology.mesh_toml import Topology

SECRET = "secret@example.test"


@pytest.fixture
async def servers():
    # What encrypts personal fields needs the region's bucket of keys.
    registrar = Service("registrar", publishes=(CustomerIdentified, ConsentChanged))
    async with LocalServers(Topology.of(["us", "eu"], nodes=1), services=[registrar]) as running:
        yield running


async def published(servers, region):
    """A personal event, then one that travels; returns when the other region has the second."""
    login = servers.credentials(region)
    broker = await JetStreamBroker.connect(region, login.servers, user=login.user, password=login.password)
    try:
        mesh = Mesh(broker, "gateway")
        await mesh.publish(
            CustomerIdentified(visitor_id="v1", email=SECRET, locale="de-DE", time_zone="Europe/Berlin"),
            ConsentChanged(visitor_id="v1", channel="email", granted=True),
        )
        await mesh.publish(CartUpdated(cart_id=f"from-{region}", visitor_id="v1", lines=()))
    finally:
        await broker.drain()


async def messages_in(connection, stream):
    """Every message of a stream, as (subject, body)."""
    state = (await api(connection, f"STREAM.INFO.{stream}"))["state"]
    found = []
    for sequence in range(max(1, state["first_seq"]), state["last_seq"] + 1):
        reply = await connection.request(f"$JS.API.DIRECT.GET.{stream}", json.dumps({"seq": sequence}).encode())
        if reply.headers and "Nats-Subject" in reply.headers:
            found.append((reply.headers["Nats-Subject"], reply.data))
    return found


@pytest.mark.parametrize(("home", "far"), [("eu", "us"), ("us", "eu")])
async def test_personal_events_never_cross(servers, home, far, eventually):
    """The far side hears what travels and holds nothing personal: no core message, no message in any stream."""
    connection = await servers.operator(far)
    heard = []

    async def take(message):
        heard.append((message.subject, message.data))

    for subject in ("ev.>", "pii.>", "timer.>", "carrier.>"):
        await connection.client.subscribe(subject, cb=take)
    await connection.settled()

    await published(servers, home)

    async def has_arrived():
        return f"ev.{home}.cart.updated.from-{home}" in [s for s, _ in await messages_in(connection, f"MESH_{far}")]

    await eventually(has_arrived)
    streams = (await api(connection, "STREAM.NAMES"))["streams"]
    held = [message for stream in streams for message in await messages_in(connection, stream)]
    assert {subject for subject, _ in held} == {f"ev.{home}.cart.updated.from-{home}"}
    assert not [message for message in held + heard if SECRET.encode() in message[1]]
    assert not [subject for subject, _ in heard if not subject.startswith("ev.")]


@pytest.mark.parametrize(("home", "far"), [("eu", "us"), ("us", "eu")])
async def test_the_far_operator_cannot_fetch_them(servers, home, far, eventually):
    """Even the far region's operator gets no personal event out of a region's stream, however it asks."""
    await published(servers, home)
    connection, books = await servers.operator(far), f"COMMERCE_{home}"

    async def the_link_carries_requests():
        return (await connection.request(f"$JS.{home}.API.INFO", b"", wait=1.0)).data

    await eventually(the_link_carries_requests)
    for subject, asked in (
        (f"STREAM.MSG.GET.{books}", {"seq": 1}),
        (f"STREAM.MSG.GET.{books}", {"last_by_subj": f"pii.{home}.customer.identified.v1"}),
        (f"DIRECT.GET.{books}", {"seq": 1}),
        (f"DIRECT.GET.{books}.pii.{home}.customer.identified.v1", None),
    ):
        body = b"" if asked is None else json.dumps(asked).encode()
        assert await answered(connection, f"$JS.{home}.API.{subject}", body) is None

    for tail, filters in (
        ("", ""),
        (f".pii.{home}.>", f"pii.{home}.>"),
        (".>", ">"),
        (f".*.{home}.>", f"*.{home}.>"),
        (f".ev.{home}.>", f"pii.{home}.>"),
    ):
        assert await stolen(connection, home, books, tail, filters) == []


async def answered(connection, subject, body):
    """What somebody answered, or None when nobody did."""
    try:
        reply = await connection.request(subject, body, wait=0.5)
    except Unavailable:
        return None
    return None if reply.headers and reply.headers.get("Status") == "503" else reply.data


async def stolen(connection, home, books, tail, filters):
    """What a consumer that the far side makes on a region's books delivers to it of personal events."""
    got, everything, name = [], asyncio.Event(), f"thief-{token_hex(4)}"

    async def take(message):
        got.append(message)
        if SECRET.encode() in message.data:
            everything.set()

    listening = await connection.client.subscribe(f"$JS.S.{name}", cb=take)
    config = {"name": name, "deliver_subject": f"$JS.S.{name}", "ack_policy": "none", "mem_storage": True}
    config |= {"filter_subject": filters} if filters else {}
    body = json.dumps({"stream_name": books, "config": config}).encode()
    try:
        await connection.request(f"$JS.{home}.API.CONSUMER.CREATE.{books}.{name}{tail}", body, wait=0.5)
        await asyncio.wait_for(everything.wait(), 0.5)
    except (Unavailable, TimeoutError):
        pass
    await listening.unsubscribe()
    return [message.data for message in got if SECRET.encode() in message.data]
