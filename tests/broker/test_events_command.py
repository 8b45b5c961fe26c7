"""`cartmesh events` on real servers: listed, watched and shown; personal data only for a reason that is stored."""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from mesh.events.cart import CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.mesh import PersonalDataShown
from mesh.operations.events import HIDDEN, Question, found, listed
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import OPERATOR

HOUR = timedelta(hours=1)
ADDRESS = "v1@example.test"
shop = Service("shop", publishes=(CartUpdated, CustomerIdentified))


@pytest.fixture
async def servers():
    async with LocalServers(Topology.of(["us", "eu"], nodes=1), services=[shop]) as up:
        up.access.write(up.directory / "servers.json")
        yield up


@asynccontextmanager
async def operator(servers, region):
    mesh = await connect(servers.access, region, OPERATOR)
    try:
        yield mesh
    finally:
        await mesh.broker.drain()


async def started(servers, *words):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mesh.cli",
        "events",
        *words,
        "--servers",
        str(servers.directory / "servers.json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"CARTMESH_LOG_LEVEL": "ERROR"},
    )


async def ran(servers, *words):
    process = await started(servers, *words)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def cart(key):
    return CartUpdated(cart_id=key, visitor_id="v1", lines=())


async def test_events_are_listed_by_type_key_and_region(servers):
    """Each region's own, by the time of storing, no more than were asked for."""
    async with operator(servers, "us") as us, operator(servers, "eu") as eu:
        await us.publish(cart("c1"))
        await us.publish(cart("c2"))
        await eu.publish(cart("c3"))

        code, out, _ = await ran(servers, "list", "cart.*", "--json")
        carts = [(one["region"], one["key"]) for one in map(json.loads, out.splitlines())]
        only_one = await listed(us, Question(types=("cart.updated",), key="c1", since=HOUR), most=9)
        newest = await listed(us, Question(since=HOUR), most=1)

    assert (code, carts) == (0, [("us", "c1"), ("us", "c2"), ("eu", "c3")])
    assert [one.key for one in only_one] == ["c1"]
    assert [one.key for one in newest] == ["c2"]


async def test_personal_data_is_shown_for_a_reason_that_is_stored(servers):
    """Hidden by default; without a reason refused; with one shown, and the region knows why and at what."""
    async with operator(servers, "us") as us:
        await us.publish(CustomerIdentified(visitor_id="v1", email=ADDRESS, name="Vera"))

        _, hidden, _ = await ran(servers, "list", "customer.*", "--region", "us")
        refused, nothing, why = await ran(servers, "list", "customer.*", "--personal", "--region", "us")
        before = await listed(us, Question(types=("mesh.personal_data_shown",), since=HOUR), most=9)
        code, out, err = await ran(
            servers, "list", "customer.*", "--region", "us", "--personal", "--reason", "a complaint by mail"
        )
        (noted,) = [one async for one in us.read(PersonalDataShown)]

    assert HIDDEN in hidden
    assert ADDRESS not in hidden
    assert '"visitor_id":"v1"' in hidden
    assert (refused, nothing) == (1, "")
    assert "--reason" in why
    assert before == []
    assert (code, ADDRESS in out, "Vera" in out) == (0, True, True), err
    assert (noted.event.reason, noted.event.question) == ("a complaint by mail", "customer.*")


async def test_one_event_is_shown_whole(servers):
    """By its id, wherever it happened; an id that nobody knows is said to be unknown."""
    async with operator(servers, "eu") as eu:
        await eu.publish(cart("c9"))
        (listed_one,) = await listed(eu, Question(key="c9", since=HOUR), most=9)

        code, out, err = await ran(servers, "show", listed_one.id)
        unknown, _, why = await ran(servers, "show", "no-such-id")
        again = await found(eu, listed_one.id, since=HOUR)

    assert (code, again) == (0, listed_one), err
    assert json.loads(out)["data"]["cart_id"] == "c9"
    assert (unknown, "no event of the last 7d has the id 'no-such-id'" in why) == (1, True)


async def test_events_are_watched_as_they_happen(servers, eventually):
    """`tail` prints what is stored while it runs, of every region."""
    process = await started(servers, "tail", "cart.updated", "--since", "1h", "--json")
    try:
        async with operator(servers, "us") as us, operator(servers, "eu") as eu:
            await us.publish(cart("first"))
            one = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
            await eu.publish(cart("second"))
            other = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    finally:
        process.kill()
        await process.wait()

    assert [(one["region"], one["key"]), (other["region"], other["key"])] == [("us", "first"), ("eu", "second")]


async def test_an_unknown_type_is_answered_with_those_there_are(servers):
    """A wrong name does not look like an empty log."""
    code, out, why = await ran(servers, "list", "cart.vanished")

    assert (code, out) == (1, "")
    assert "no event is called cart.vanished; there are" in why
    assert "cart.updated.v1" in why
