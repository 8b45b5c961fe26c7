"""`cartmesh trace` on real servers: found by id, by trace and by key, across regions, with an end to the search."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.dead_letters import store_dead_letter
from mesh.events.cart import CartClosed, CartIdle, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.mesh import Mesh
from mesh.operations.causal_tree import forest, tree_lines
from mesh.operations.trace import story_of
from mesh.publish import Cause, Draft
from mesh.runtime.local_servers import LocalServers
from mesh.streams import mesh_stream
from mesh.timers import Timer
from mesh.topology.mesh_toml import Topology

DAY = timedelta(days=1)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
async def servers():
    async with LocalServers(Topology.of(["us", "eu"], nodes=1)) as running:
        running.access.write(running.directory / "servers.json")
        yield running


@pytest.fixture
async def story(servers, eventually):
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

    async def heard():
        return await us.broker.last(mesh_stream("us"), "ev.eu.cart.closed.c1") and await eu.broker.last(
            mesh_stream("eu"), "ev.us.cart.updated.c1"
        )

    await eventually(heard)
    yield meshes
    for mesh in meshes.values():
        await mesh.broker.drain()


def told_of(story):
    return [" ".join(line.split()) for line in tree_lines(forest(story.events))]


@pytest.mark.parametrize("what", ["shop-update1", "closed-1", TRACE, SPAN, "c1"])
async def test_any_name_finds_the_whole_story(servers, story, what):
    """An event's id, its trace, its traceparent and its cart's id lead to the same tree, across regions."""
    found = await story_of(servers.access, what, regions=["us", "eu"], since=DAY)

    (tree,) = forest(found.events)
    assert (tree.event.type, tree.event.region, sorted(tree.event.received)) == ("cart.updated.v1", "us", ["eu"])
    assert [(b.event.type, b.event.region, b.event.due is None) for b in tree.followed] == [
        ("cart.closed.v1", "eu", True),
        ("cart.idle.v1", "us", False),
    ]


async def test_one_region_tells_what_it_heard(servers, story):
    """Asked of one region alone, the others' events are told by its copies."""
    found = await story_of(servers.access, "c1", regions=["us"], since=DAY)

    assert {(one.type, one.region) for one in found.events} >= {("cart.updated.v1", "us"), ("cart.closed.v1", "eu")}


async def test_a_region_that_is_down_is_named(servers, story):
    """A dead region does not hide the story: its events are told by the others' copies."""
    await servers.kill_region("eu")

    found = await story_of(servers.access, "closed-1", regions=["us", "eu"], since=DAY)

    assert list(found.silent) == ["eu"]
    assert {(one.type, one.region) for one in found.events} >= {("cart.updated.v1", "us"), ("cart.closed.v1", "eu")}


async def test_what_was_given_up_says_so(servers, story):
    """A dead letter stands with its event, its reason and who parked it."""
    us = story["us"]
    message = await us.broker.last("COMMERCE_us", "ev.us.cart.updated.c1")
    await store_dead_letter(us, "carts", "carts-leave-cart", message, "no such thing")

    found = await story_of(servers.access, "c1", regions=["us", "eu"], since=DAY)

    assert any("DEAD LETTER of carts-leave-cart in us: no such thing" in line for line in told_of(found))


async def test_the_search_ends_with_its_time(servers, story):
    """Nothing is found of what is not there, and the search stops where it was told to."""
    found = await story_of(servers.access, "nobody-said-this", regions=["us", "eu"], since=timedelta(0))

    assert (found.events, 0 < found.searched <= 2_000) == ([], True)


async def test_the_command_says_what_it_found_and_what_not(servers, story):
    """`cartmesh trace` prints the tree without any data, and ends with 1 and advice when there is none."""
    code, out, err = await _cartmesh(servers, "c1")
    assert (code, err, len(out.splitlines())) == (0, "", 3)

    code, out, err = await _cartmesh(servers, "nobody-said-this")
    assert (code, out) == (1, "")
    assert "nothing is called 'nobody-said-this'" in err
    assert "--since" in err


async def _cartmesh(servers, *arguments):
    command = ("-m", "mesh.cli", "trace", *arguments, "--servers", str(servers.directory / "servers.json"))
    child = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await child.communicate()
    return child.returncode, out.decode(), err.decode()
