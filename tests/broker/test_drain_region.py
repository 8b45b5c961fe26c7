"""A region is removed: nothing unsent is lost, what lives only there is named, and another can stand in for it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.cli import app
from mesh.errors import MeshError
from mesh.events.cart import CartIdle, CartUpdated
from mesh.events.code import CodeChanged, CodesImported, Discount
from mesh.events.customer import CustomerIdentified
from mesh.events.mesh import MeshHeartbeat
from mesh.events.stock import StockLevelChanged, WarehouseLevel
from mesh.mesh import Mesh
from mesh.operations.drain import drain
from mesh.operations.fail_over import stand_in
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.timers import Timer
from mesh.topology.mesh_toml import Topology
from tests.broker.test_backup import cart, connected, copied, given_carts

MESH = '[regions.us]\nnodes = 1\n[regions.eu]\nnodes = 1\n[[links]]\nfrom = "eu"\nto = "us"\n'
watcher = Service(
    "watcher",
    publishes=(
        CartUpdated,
        CartIdle,
        CustomerIdentified,
        StockLevelChanged,
        CodeChanged,
        CodesImported,
        MeshHeartbeat,
    ),
    timers=(CartIdle,),
)


@watcher.on(CartUpdated)
async def note_cart(cart: CartUpdated):
    """Note it."""
    yield cart


def units(sku, on_hand, reserved=0):
    return StockLevelChanged(
        sku=sku,
        warehouses=(WarehouseLevel(warehouse="main", on_hand=on_hand, reserved=reserved),),
        on_hand=on_hand,
        reserved=reserved,
        available=on_hand - reserved,
        received=on_hand,
    )


def code(key, state):
    return CodeChanged(code_id=key, code=key, state=state, discount=Discount(percent=10))


async def test_a_region_is_drained_before_it_is_removed(cartmesh):
    """While another lacks an event, or a handler has one to do, it is refused; then what lives only there is named."""
    async with LocalServers(Topology.of(["us", "eu"], nodes=1), services=[watcher]) as servers:
        eu, operator = await connected(servers, "eu"), await servers.operator("eu")
        due = datetime.now(UTC) + timedelta(days=1)
        beats = asyncio.create_task(beat(eu))
        try:
            empty = await drain(operator, servers.topology, within=60)
            await eu.publish(cart("c1"), Timer(CartIdle(cart_id="c1", update_id="u1"), due))
            unhandled = await drain(operator, servers.topology, within=0)
            await given_carts(servers, "eu", 1)
            await eu.publish(units("tea", 5, reserved=2), units("cup", 0))
            await eu.publish(code("a", "free"), code("b", "reserved"), code("c", "redeemed"))
            await eu.publish(CodesImported(part_id="p", list_name="l", region="eu", codes=("x", "y")))
            await eu.publish(CustomerIdentified(visitor_id="v", email="ann@example.com"))
            drained = await drain(operator, servers.topology, within=60)
        finally:
            beats.cancel()
        refused = await cartmesh(servers, "drain-region", "eu")
        names = [word for name in drained.bound for word in ("--force", name)]
        forced = await cartmesh(servers, "drain-region", "eu", *names)
        servers.cut("eu")
        await eu.publish(cart("c2"))
        cut = await drain(operator, servers.topology, within=0)

    assert (empty.waiting, empty.bound) == ((), {})
    assert any(told.startswith("us lacks 1 events of COMMERCE_eu") for told in cut.waiting), cut.waiting
    assert "watcher-note-cart has 1 events of COMMERCE_eu to handle" in unhandled.waiting
    assert drained.waiting == ()
    assert drained.bound.keys() == {"timers", "personal", "stock", "codes"}
    assert drained.bound["timers"] == "1 timers wait (1 of cart.idle)"
    assert drained.bound["stock"].startswith("5 units of 1 SKUs (2 reserved)")
    assert drained.bound["codes"].startswith("2 codes that people have and 2 of imported lists")
    assert (refused[0], forced[0]) == (1, 0)
    assert "--force stock leaves it behind" in refused[1]
    assert "eu must not be removed yet" in refused[1]
    assert "eu is drained: all is handled, and us has its events" in forced[1]


async def test_a_region_stands_in_for_a_lost_one(cartmesh, eventually):
    """It says what it has and what it leaves; not for a region that is heard, nor for one that it never heard."""
    async with LocalServers(Topology.of(["us", "eu"], nodes=1), services=[watcher]) as servers:
        eu = await connected(servers, "eu")
        us = Mesh(JetStreamBroker(await servers.operator("us")), "operator", others=("eu",))
        with pytest.raises(MeshError, match="us never received anything of eu"):
            await stand_in(us, "eu")
        await eu.publish(cart("c1"))
        await eu.publish(units("tea", 5), code("a", "free"))
        await eu.publish(MeshHeartbeat(region="eu", at=datetime.now(UTC)))
        await eventually(lambda: us.last(MeshHeartbeat, "eu", region="eu"), within=60)
        with pytest.raises(MeshError, match="it is not lost"):
            await stand_in(us, "eu")
        long_ago = datetime.now(UTC) - timedelta(minutes=1)
        await eu.publish(MeshHeartbeat(region="eu", at=long_ago))

        async def old():
            beat = await us.last(MeshHeartbeat, "eu", region="eu")
            return beat.event.at == long_ago

        await eventually(old, within=60)
        await eventually(lambda: us.last(CodeChanged, "a", region="eu"), within=60)
        await servers.kill_region("eu")
        found = await stand_in(us, "eu")
        status, told = await cartmesh(servers, "fail-over", "eu", "--to", "us")

    assert found.last_heard == long_ago
    assert found.events == {"cart": 1, "code": 1, "stock": 1}
    assert found.left.keys() == {"stock", "codes"}
    assert found.left["stock"].startswith("5 units of 1 SKUs")
    assert status == 0
    assert "its events there: 1 of cart, 1 of code, 1 of stock" in told
    assert "us leaves to eu: 5 units of 1 SKUs" in told


@pytest.mark.drill
async def test_a_region_comes_and_goes(tmp_path, eventually):
    """Added, it receives what was before it; removed after it was drained, the others keep what they had of it."""
    alone, both = Topology.of(["us"], nodes=1), Topology.of(["us", "eu"], nodes=1)
    folder = tmp_path / "mesh"
    async with LocalServers(alone, folder, services=[watcher]) as servers:
        await (await connected(servers, "us")).publish(cart("before"))
    async with LocalServers(both, folder, services=[watcher]) as servers:
        eu, operator = await connected(servers, "eu"), await servers.operator("eu")
        await eventually(lambda: copied(servers, "eu", "us", "before"), within=60)
        await eu.publish(cart("abroad"))
        assert await servers.apply() == [], "each step may be repeated"
        await given_carts(servers, "eu", 1)
        drained = await drain(operator, both, within=60)
        assert (drained.waiting, drained.bound) == ((), {})
    async with LocalServers(alone, folder, services=[watcher]) as servers:
        kept = [str(one) for one in await servers.apply()]
        gone = [one for one in kept if "copy_eu" in one]
        assert gone
        assert all("would delete consumer copy_eu" in one for one in gone)
        await servers.apply(force=[one.split("--force ")[1].split(" ")[0] for one in gone])
        assert await servers.apply() == []
        abroad = JetStreamBroker(await servers.operator("us"))
        assert await abroad.last("MESH_us", "ev.eu.cart.updated.abroad"), "what came from it stays"


async def beat(mesh):
    """Heartbeats, as a region sends them as long as it runs."""
    while True:
        await mesh.publish(MeshHeartbeat(region=mesh.region, at=datetime.now(UTC)))
        await asyncio.sleep(0.2)


@pytest.fixture
def cartmesh(capsys, tmp_path):
    """The command in this process: its status and what it printed."""
    (tmp_path / "mesh.toml").write_text(MESH)

    async def run(servers, *words):
        where = ["--servers", str(servers.write_state()), "--file", str(tmp_path / "mesh.toml")]
        capsys.readouterr()
        try:
            await asyncio.to_thread(app("mesh"), ["mesh", *words, *where], result_action="return_value")
        except SystemExit as ended:
            return ended.code, capsys.readouterr().out
        return 0, capsys.readouterr().out

    return run
