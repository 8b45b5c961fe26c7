"""`cartmesh trace` on real servers: found by id, by trace and by key, across regions, with an end to the search."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from mesh.broker.jetstream import JetStreamBroker
from mesh.cli.trace import trace
from mesh.dead_letters import store_dead_letter
from mesh.errors import TopologyError
from mesh.events.cart import CartClosed, CartIdle, CartLine, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import PersonalDataShown
from mesh.events.order import OrderPlaced
from mesh.mesh import Mesh
from mesh.money import Money
from mesh.operations.causal_tree import forest, tree_lines
from mesh.operations.events import answering
from mesh.operations.trace import trace_of
from mesh.publish import Cause, Draft
from mesh.runtime.local_servers import LocalServers
from mesh.streams import mesh_stream
from mesh.timers import Timer
from mesh.topology.mesh_toml import Topology
from services.identity import service as identity

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(200)]

DAY = timedelta(days=1)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINE = CartLine(product_id="p1", quantity=1, price=Money(amount=100, currency="EUR"))
SPAN = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers():
    async with LocalServers(Topology.of(["us", "eu"], nodes=1), services=[identity]) as running:
        running.access.write(running.directory / "servers.json")
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(servers):
    """A cart in `us` with its timer, and what `eu` did about it, among other visitors' clicks."""
    meshes = {}
    for region in ("us", "eu"):
        login = servers.credentials(region)
        broker = await JetStreamBroker.connect(region, login.servers, user=login.user, password=login.password)
        meshes[region] = Mesh(broker, "tests")
    us, eu = meshes["us"], meshes["eu"]
    clicks = [ProductViewed(visitor_id=f"v{at}", product_id="p1") for at in range(500)]
    updated = Draft(event=CartUpdated(cart_id="c1", visitor_id="v1", lines=()), id="shop-update1")
    idle = Timer(CartIdle(cart_id="c1", update_id="shop-update1"), at=datetime.now(UTC) + timedelta(hours=1))
    await us.publish(*clicks)
    await us.commit([updated, idle], Cause(id="shop-update1", source="gateway", traceparent=SPAN, event="shop-update1"))
    closed = Draft(event=CartClosed(cart_id="c1", order_id="o1", region="eu", visitor_id="v1"), id="closed-1")
    cause = Cause(id="shop-update1", source="carts.close_cart", traceparent=SPAN, event="shop-update1")
    await eu.commit([closed], cause)
    await us.publish(*clicks)

    async def copied():
        return await us.broker.last(mesh_stream("us"), "ev.eu.cart.closed.c1") and await eu.broker.last(
            mesh_stream("eu"), "ev.us.cart.updated.c1"
        )

    async with asyncio.timeout(90):
        while not await copied():  # noqa: ASYNC110  the links copy in their own time
            await asyncio.sleep(0.05)
    yield meshes
    for mesh in meshes.values():
        await mesh.broker.drain()


def lines_of(found):
    return [" ".join(line.split()) for line in tree_lines(forest(found.events))]


async def traced(servers, what, *, regions=("us", "eu"), since=DAY):
    async with AsyncExitStack() as stack:
        meshes, silent = await answering(servers.access, regions, stack)
        return await trace_of(meshes, what, since=since), silent


@pytest.mark.parametrize("what", ["shop-update1", "closed-1", TRACE, SPAN, "c1"])
async def test_any_name_finds_the_whole_story(servers, story, what):
    """An event's id, its trace, its traceparent and its cart's id lead to the same tree, across regions."""
    found, _ = await traced(servers, what)

    (tree,) = forest(found.events)
    assert (tree.event.type, tree.event.region, sorted(tree.event.received)) == ("cart.updated.v1", "us", ["eu"])
    assert [(b.event.type, b.event.region, b.event.due is None) for b in tree.followed] == [
        ("cart.closed.v1", "eu", True),
        ("cart.idle.v1", "us", False),
    ]
    assert tree.event.data["visitor_id"] == "v1"


async def test_one_region_shows_what_it_received(servers, story):
    """Asked of one region alone, the others' events are those of its copies."""
    found, _ = await traced(servers, "c1", regions=["us"])

    assert {(one.type, one.region) for one in found.events} >= {("cart.updated.v1", "us"), ("cart.closed.v1", "eu")}


async def test_what_was_given_up_says_so(servers, story):
    """A dead letter stands with its event, its reason and which consumer gave it up."""
    us = story["us"]
    await us.publish(CartUpdated(cart_id="c2", visitor_id="v2", lines=()))
    message = await us.broker.last("COMMERCE_us", "ev.us.cart.updated.c2")
    await store_dead_letter(us, "carts", "carts-leave-cart", message, "no such thing")

    found, _ = await traced(servers, "c2")

    assert any("DEAD LETTER of carts-leave-cart in us: no such thing" in line for line in lines_of(found))


async def test_the_search_ends_with_its_time(servers, story):
    """Nothing is found of what is not there, and the search stops where it was asked to."""
    found, _ = await traced(servers, "no-such-event", since=timedelta(0))

    assert (found.events, 0 < found.searched <= 2_000) == ([], True)


async def test_the_command_says_what_it_found_and_what_not(servers, story):
    """`cartmesh trace` prints the tree with each event's data, and ends with 1 and advice when there is none."""
    code, out, err = await _cartmesh(servers, "c1")
    assert (code, err) == (0, "")
    heads = [line for line in out.splitlines() if ".v1 " in line]
    assert (len(heads), 'visitor_id="v1"' in out) == (3, True)

    code, out, err = await _cartmesh(servers, "no-such-event")
    assert (code, out) == (1, "")
    assert "nothing is called 'no-such-event'" in err
    assert "--since" in err


async def test_the_command_shows_a_persons_whole_story(servers, story):
    """Of both regions, with the order; personal data for a reason only, which the regions store."""
    await story["us"].publish(CustomerIdentified(visitor_id="v1", email="v1@example.test"))
    await story["eu"].publish(OrderPlaced(order_id="o1", visitor_id="v1", lines=(LINE,), total=LINE.price))

    code, out, err = await _cartmesh(servers, "--cart", "c1", "--json")
    found = json.loads(out)
    with pytest.raises(TopologyError, match="--reason"):
        trace(visitor="v1", personal=True, servers=servers.directory / "servers.json")
    before = [one async for one in story["us"].read(PersonalDataShown)]
    shown, whole, _ = await _cartmesh(servers, "--visitor", "v1", "--personal", "--reason", "a complaint by mail")
    recorded = [
        (one.event.reason, one.event.question) for mesh in story.values() async for one in mesh.read(PersonalDataShown)
    ]

    assert (code, err, found["silent"], found["cut"]) == (0, "", {}, False)
    assert (found["person"]["visitors"], found["person"]["orders"]) == (["v1"], ["o1"])
    types = {(one["event"]["type"], one["event"]["region"]) for one in _all(found["trees"])}
    assert types >= {
        ("customer.identified.v1", "us"),
        ("cart.updated.v1", "us"),
        ("cart.idle.v1", "us"),
        ("cart.closed.v1", "eu"),
        ("order.placed.v1", "eu"),
        ("interaction.product_viewed.v1", "us"),
    }
    assert "v1@example.test" not in out
    assert before == []
    assert (shown, "v1@example.test" in whole) == (0, True)
    assert recorded == [("a complaint by mail", "trace visitor v1")] * 2


async def test_a_region_that_is_down_is_named(servers, story):
    """Its events are those of the others' copies. This test is the last: nothing starts the region again."""
    await servers.kill_region("eu")

    found, silent = await traced(servers, "closed-1")

    assert list(silent) == ["eu"]
    assert {(one.type, one.region) for one in found.events} >= {("cart.updated.v1", "us"), ("cart.closed.v1", "eu")}


def _all(trees):
    for tree in trees:
        yield tree
        yield from _all(tree.get("followed", ()))


async def _cartmesh(servers, *arguments):
    command = ("-m", "mesh.cli", "trace", *arguments, "--servers", str(servers.directory / "servers.json"))
    child = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await child.communicate()
    return child.returncode, out.decode(), err.decode()
