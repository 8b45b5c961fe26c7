"""The embedded mesh: real servers that start, receive each other's events, break, heal and end."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import Denied, TopologyError, Unavailable
from mesh.events.cart import CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.order import OrderPlaced
from mesh.mesh import Mesh
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.ports import free_ports
from mesh.service import Service
from mesh.streams import Bucket, ObjectStore
from mesh.topology.access import Access
from mesh.topology.apply import api
from mesh.topology.mesh_toml import Topology

shop = Service(
    "shop", publishes=(CartUpdated,), buckets=(Bucket("views", dict),), object_stores=(ObjectStore("papers"),)
)


@asynccontextmanager
async def connected(servers, region, service="shop"):
    login = servers.credentials(region, service)
    broker = await JetStreamBroker.connect(
        region, login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
    )
    try:
        yield Mesh(broker, service, others=servers.topology.others(region))
    finally:
        await broker.drain()


async def until(true, within=30.0):
    deadline = asyncio.get_running_loop().time() + within
    while not await true():
        assert asyncio.get_running_loop().time() < deadline, "waited too long"
        await asyncio.sleep(0.02)


async def carts_in(servers, region, stream):
    """Cart ids of a stream, one for each stored message."""
    async with connected(servers, region, "operator") as mesh:
        return sorted([m.subject.rpartition(".")[2] async for m in mesh.broker.read(stream, ["ev.*.cart.updated.*"])])


def cart(number):
    return CartUpdated(cart_id=f"c{number}", visitor_id="v", lines=())


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_zombie(pid):
    """Ended, but not yet waited for by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


async def test_every_region_receives_every_other_once():
    """What happens in one region is in every other region's MESH stream exactly once, and not in its own."""
    async with LocalServers(Topology.of(nodes=1), services=[shop]) as servers:
        for at, region in enumerate(servers.topology.names):
            async with connected(servers, region) as mesh:
                await asyncio.gather(*(mesh.publish(cart(1000 * at + number)) for number in range(100)))

        for here, region in enumerate(servers.topology.names):
            expected = sorted(f"c{1000 * at + number}" for at in range(3) if at != here for number in range(100))

            async def arrived(region=region):
                return len(await carts_in(servers, region, f"MESH_{region}")) >= 200

            await until(arrived)
            assert expected == await carts_in(servers, region, f"MESH_{region}")


async def test_three_servers_survive_the_loss_of_one():
    """A region of three servers goes on while one of them is dead, and takes it back."""
    async with LocalServers(Topology.of(["us"], nodes=3), services=[shop]) as servers:
        async with connected(servers, "us") as mesh:
            await mesh.publish(cart(1))

            await servers.kill_node("us", 1)
            await mesh.publish(cart(2))
            await servers.start_node("us", 1)
            await mesh.publish(cart(3))

        assert await carts_in(servers, "us", "COMMERCE_us") == ["c1", "c2", "c3"]


@pytest.mark.timeout(180)
async def test_three_regions_of_three_servers_are_one_mesh():
    """The full size: nine servers, three copies, a whole region killed and restarted while the others go on."""
    async with LocalServers(Topology.of(nodes=3), services=[shop]) as servers:
        async with connected(servers, "us") as us, connected(servers, "eu") as eu:
            await us.publish(cart(1))
            await servers.kill_region("eu")
            await us.publish(cart(2))
            await servers.start_region("eu")
            await eu.publish(cart(3))

        async def arrived():
            copied = [await carts_in(servers, r, f"MESH_{r}") for r in ("us", "eu", "ap")]
            return copied == [["c3"], ["c1", "c2"], ["c1", "c2", "c3"]]

        await until(arrived, within=60)
        info = await api(await servers.operator("ap"), "STREAM.INFO.COMMERCE_ap")
        assert info["config"]["num_replicas"] == 3


async def test_core_messages_do_not_loop():
    """A live message reaches each region once: without the links' allow lists it would circle."""
    async with LocalServers(Topology.of(nodes=1)) as servers:
        received = {region: [] for region in servers.topology.names}
        for region, messages in received.items():
            client = (await servers.operator(region)).client

            async def take(message, messages=messages):
                messages.append(message.data)

            await client.subscribe("live.>", cb=take)
            await client.flush()
        us = (await servers.operator("us")).client

        async def interest_has_spread():
            await us.publish("live.us.offer", b"first")
            await us.flush()
            return all(received.values())

        await until(interest_has_spread)
        for number in range(100):
            await us.publish("live.us.offer", b"%d" % number)
        await us.publish("live.us.offer", b"last")

        async def ended():
            return all(b"last" in messages for messages in received.values())

        await until(ended)
        before = {region: len(messages) for region, messages in received.items()}
        for region in received:
            await (await servers.operator(region)).client.flush()
        await asyncio.sleep(0.2)
        assert before == {region: len(messages) for region, messages in received.items()}
        assert [len([m for m in messages if m.isdigit()]) for messages in received.values()] == 3 * [100]


async def test_a_cut_region_goes_on_and_heals():
    """Cut off, a region takes carts, answers, restarts; healed, everything is everywhere exactly once."""
    async with LocalServers(Topology.of(nodes=1), services=[shop]) as servers:
        servers.cut("eu")
        async with connected(servers, "eu") as eu, connected(servers, "us") as us:
            await us.publish(cart(1))
            await eu.publish(cart(2))
            await servers.kill_region("eu")
            await servers.start_region("eu")
            await eu.publish(cart(3))
            await eu.state(shop.buckets[0]).put("key", {"works": True})

        async def ap_has_received_us():
            return await carts_in(servers, "ap", "MESH_ap") == ["c1"]

        await until(ap_has_received_us)
        assert await carts_in(servers, "eu", "COMMERCE_eu") == ["c2", "c3"]
        assert "c1" not in await carts_in(servers, "eu", "MESH_eu")

        await servers.heal("eu")

        async def all_have_all():
            copied = [await carts_in(servers, r, f"MESH_{r}") for r in ("us", "eu", "ap")]
            return copied == [["c2", "c3"], ["c1"], ["c1", "c2", "c3"]]

        await until(all_have_all, within=60)


async def test_a_restart_in_the_same_folder_finds_its_data(tmp_path):
    """Data and passwords stay in the folder; nothing has to be applied again."""
    topology = Topology.of(["us", "eu"], nodes=1)
    async with LocalServers(topology, tmp_path, services=[shop]) as servers:
        first = servers.credentials("us", "shop").password
        async with connected(servers, "us") as mesh:
            await mesh.publish(cart(1))
            await mesh.objects(shop.object_stores[0]).put("paper", b"kept")

    async with LocalServers(topology, tmp_path, services=[shop]) as servers:
        assert servers.applied == []
        assert first == servers.credentials("us", "shop").password
        assert await carts_in(servers, "us", "COMMERCE_us") == ["c1"]
        async with connected(servers, "us") as mesh:
            assert await mesh.objects(shop.object_stores[0]).get("paper") == b"kept"
            await mesh.publish(cart(2))

        async def eu_has_both():
            return await carts_in(servers, "eu", "MESH_eu") == ["c1", "c2"]

        await until(eu_has_both, within=60)  # a source that was cut asks again after up to 38 s


async def test_a_folder_holds_one_mesh(tmp_path):
    """A second mesh in the same folder is refused before it touches anything."""
    topology = Topology.of(["us"], nodes=1)
    async with LocalServers(topology, tmp_path):
        with pytest.raises(TopologyError, match="another mesh runs in"):
            await LocalServers(topology, tmp_path).__aenter__()


async def test_other_processes_find_the_servers(tmp_path):
    """`servers.json` says where the servers are, and only its owner may read it."""
    async with LocalServers(Topology.of(["us"], nodes=1), tmp_path, services=[shop]) as servers:
        path = tmp_path / "servers.json"
        assert servers.credentials("us", "shop") == Access.read(path).login("us", "shop")
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(TopologyError, match="'baker' is no user of us"):
            Access.read(path).login("us", "baker")


async def test_a_service_may_only_do_what_it_declared():
    """Another service's subjects, another region's and the whole API are refused, with names in the error."""
    topology = Topology.of(["us", "eu"], nodes=1)
    async with LocalServers(topology, services=[shop]) as servers, connected(servers, "us") as mesh:
        with pytest.raises(Denied, match=r"^shop .*ev\.us\.interaction\.product_viewed\.v"):
            await mesh.publish(ProductViewed(visitor_id="v", product_id="p"))
        with pytest.raises(Denied, match=r"^shop .*ev\.us\.order\.placed"):
            await mesh.publish(OrderPlaced(order_id="o", visitor_id="v", lines=(), total={"amount": 1}))
        for forbidden in (
            "$JS.API.STREAM.DELETE.COMMERCE_us",
            "$JS.API.STREAM.PURGE.COMMERCE_us",
            "$JS.API.STREAM.MSG.GET.DEAD_us",
            "$JS.eu.API.STREAM.MSG.GET.COMMERCE_eu",
            "ev.eu.cart.updated.c1",
            "$KV.others.key",
        ):
            with pytest.raises(Denied, match=r"^shop .*publish"):
                await mesh.broker.connection.request(forbidden, b"{}")


async def test_a_wrong_password_is_refused():
    """A connection with a wrong password fails at once and says for whom."""
    async with LocalServers(Topology.of(["us"], nodes=1), services=[shop]) as servers:
        urls = servers.credentials("us", "shop").servers
        with pytest.raises(Denied, match="'shop'"):
            await JetStreamBroker.connect("us", urls, user="shop", password="wrong", inbox_prefix="_INBOX_shop")


async def test_nothing_is_left_when_it_fails():
    """Servers end with the block that started them, also when it raises; the temporary folder goes."""
    seen = {}

    async def work():
        async with LocalServers(Topology.of(["us"], nodes=3)) as servers:
            seen.update(pids=[servers.pid(f"us-{index}") for index in (1, 2, 3)], folder=servers.directory)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await work()

    assert [alive(pid) for pid in seen["pids"]] == [False, False, False]
    assert not seen["folder"].exists()


async def test_a_start_that_cannot_succeed_says_why(tmp_path):
    """What the server wrote is in the error, and nothing is left running."""
    (tmp_path / "us-1").mkdir()
    (tmp_path / "us-1" / "data").write_text("a file where a folder should be")

    with pytest.raises((TopologyError, Unavailable), match="us-1 did not start"):
        await LocalServers(Topology.of(["us"], nodes=1), tmp_path).__aenter__()


async def test_a_region_of_which_nobody_answers_is_unavailable():
    """A connection is refused with the servers' names, not asked for for ever."""
    silent = [f"nats://127.0.0.1:{port}" for port in free_ports(2)]

    with pytest.raises(Unavailable, match=silent[1]):
        await JetStreamBroker.connect("us", tuple(silent))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_servers_do_not_survive_their_parent(tmp_path):
    """Even when the process that started them is killed without warning."""
    program = dedent("""
        import asyncio, sys
        from mesh.runtime.local_servers import LocalServers
        from mesh.topology.mesh_toml import Topology

        async def main():
            async with LocalServers(Topology.of(["us"], nodes=1), sys.argv[1]) as servers:
                print(servers.pid("us-1"), flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
    """)
    parent = subprocess.Popen(  # noqa: ASYNC220  it only forks; what may block is in threads
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        pid = int(await asyncio.to_thread(parent.stdout.readline))

        parent.send_signal(signal.SIGKILL)
        await asyncio.to_thread(parent.wait)
    finally:
        parent.kill()
        parent.stdout.close()

    async def gone():
        return not alive(pid) or is_zombie(pid)

    await until(gone)
