"""A region is saved while it works, wiped, and made again: its keys, timers and places, and what others received."""

import asyncio
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.cli import app
from mesh.errors import DeclarationError, MeshError, TopologyError
from mesh.events.cart import CartIdle, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.mesh import Mesh
from mesh.operations.backup import back_up, open_backup
from mesh.operations.backup_store import BackupStore
from mesh.operations.restore import restore
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.state import State
from mesh.streams import Bucket, ObjectStore
from mesh.timers import Timer
from mesh.topology.mesh_toml import Topology

SECRET = "known to the operator alone"
SEEN = Bucket("seen", str)
PAPERS = ObjectStore("papers")
PAPER = os.urandom(3_000_000)
"""Many chunks, which no packing makes fewer."""
MESH = '[regions.us]\nnodes = 1\n[regions.eu]\nnodes = 1\n[[links]]\nfrom = "eu"\nto = "us"\n'

watcher = Service(
    "watcher",
    publishes=(CartUpdated, CartIdle, CustomerIdentified),
    timers=(CartIdle,),
    buckets=(SEEN,),
    object_stores=(PAPERS,),
)


@watcher.on(CartUpdated)
async def note_cart(cart: CartUpdated):
    """Note it."""
    yield cart


def cart(key):
    return CartUpdated(cart_id=key, visitor_id="v", lines=())


async def connected(servers, region):
    login = servers.credentials(region, "watcher")
    broker = await JetStreamBroker.connect(
        region, login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
    )
    servers._closing.push_async_callback(broker.drain)
    return Mesh(broker, "watcher", others=tuple({"us", "eu"} - {region}))


async def given_carts(servers, region, count):
    """The next carts that the region's durable is given, acknowledged."""
    (spec,) = watcher.bindings[0].consumers(region)
    operator = await servers.operator(region)
    deliveries, keys = await JetStreamBroker(operator).deliveries(spec), []
    while len(keys) < count:
        for given in await deliveries.fetch(count - len(keys), 10.0):
            await given.ack()
            keys.append(given.subject.rpartition(".")[2])
    await deliveries.close()
    await operator.settled()
    return keys


async def copied(servers, region, origin, key):
    broker = JetStreamBroker(await servers.operator(region))
    return await broker.last(f"MESH_{region}", f"ev.{origin}.cart.updated.{key}")


async def wipe(servers, region):
    """All that its servers hold is gone, as on new machines."""
    await servers.kill_region(region)
    for name in servers.topology.region(region).servers:
        shutil.rmtree(servers.plan.addresses[name].store)
    await servers.start_region(region)


async def test_a_wiped_region_is_what_it_was_and_goes_on(tmp_path, eventually):
    """What was saved, and what another region received since; nothing twice, nothing unread, and it goes on."""
    async with LocalServers(Topology.of(["us", "eu"], nodes=1), services=[watcher]) as servers:
        eu, us = await connected(servers, "eu"), await connected(servers, "us")
        operators = {name: await servers.operator(name) for name in ("us", "eu")}
        due = datetime.now(UTC) + timedelta(seconds=20)
        await eu.publish(cart("c1"), Timer(CartIdle(cart_id="c1", update_id="u1"), due))
        await eu.publish(CustomerIdentified(visitor_id="v", email="ann@example.com"))
        await State(eu.broker, SEEN).put("c1", "yes")
        await eu.broker.object_put(PAPERS, "a", PAPER)
        await us.publish(cart("abroad"))
        await eventually(lambda: copied(servers, "eu", "us", "abroad"))
        assert await given_carts(servers, "eu", 1) == ["c1"]

        folder, contents = await back_up(operators["eu"], str(tmp_path), SECRET)
        for number in range(2, 5):  # their timers do not travel, and leave gaps
            await eu.publish(cart(f"c{number}"), Timer(CartIdle(cart_id=f"c{number}", update_id="u"), due))
        await us.publish(cart("meanwhile"))
        await eventually(lambda: copied(servers, "us", "eu", "c4"))
        await eventually(lambda: copied(servers, "eu", "us", "meanwhile"))
        await wipe(servers, "eu")
        assert await servers.apply()  # as the hook of an install would: streams that are empty, until others are copied
        await eventually(lambda: copied(servers, "eu", "us", "meanwhile"))
        done = await restore(operators["eu"], folder, SECRET, servers.topology, [operators["us"]])
        applied = await servers.apply()

        assert [one.config["name"] for one in contents.streams][-1] == "COMMERCE_eu", "last: what handlers are given"
        assert (done.durables, done.returned["COMMERCE_eu"], done.passed_over["COMMERCE_eu"] > 3) == (1, 3, True)
        assert {one.verb for one in applied} <= {"create"}, list(map(str, applied))
        assert [(await eu.last(CartUpdated, f"c{number}")).event for number in range(1, 5)] == [
            cart(f"c{number}") for number in range(1, 5)
        ]
        assert (await eu.last(CustomerIdentified, "v")).event.email == "ann@example.com"
        assert await State(eu.broker, SEEN).get("c1") == "yes"
        assert await eu.broker.object_get(PAPERS, "a") == PAPER
        assert await given_carts(servers, "eu", 3) == ["c2", "c3", "c4"]
        await eventually(lambda: eu.last(CartIdle, "c1"))
        assert datetime.now(UTC) >= due
        # The copies go on in both directions.
        await eu.publish(cart("c5"))
        await us.publish(cart("later"))
        await eventually(lambda: copied(servers, "us", "eu", "c5"))
        await eventually(lambda: copied(servers, "eu", "us", "later"))
        await eventually(lambda: copied(servers, "eu", "us", "meanwhile"))
        assert await copied(servers, "eu", "us", "abroad")
        abroad = JetStreamBroker(operators["us"])
        assert len([one async for one in abroad.read("MESH_us", ["ev.eu.cart.updated.c1"])]) == 1, "not copied anew"


async def test_a_region_that_holds_something_is_not_overwritten_unasked(tmp_path):
    """Refused whole; by name only what may go goes. Files are unreadable, for others and when they were changed."""
    async with LocalServers(Topology.of(["eu"], nodes=1), services=[watcher]) as servers:
        eu, operator = await connected(servers, "eu"), await servers.operator("eu")
        await eu.publish(cart("c1"))
        folder, _ = await back_up(operator, str(tmp_path), SECRET)
        await eu.publish(cart("c2"))

        with pytest.raises(MeshError, match="eu is not empty, nothing was changed: COMMERCE_eu hold messages"):
            await restore(operator, folder, SECRET, servers.topology, [])
        assert await eu.last(CartUpdated, "c2") is not None
        done = await restore(operator, folder, SECRET, servers.topology, [], force=["COMMERCE_eu"])
        assert done.streams["COMMERCE_eu"] == 1
        assert await eu.last(CartUpdated, "c2") is None
        assert await given_carts(servers, "eu", 1) == ["c1"]

        with pytest.raises(MeshError, match="CARTMESH_BACKUP_KEY is not the one"):
            await open_backup(BackupStore.open(folder), "another secret of an operator")
        content = Path(folder) / "COMMERCE_eu"
        assert b"cart" not in content.read_bytes()
        content.write_bytes(content.read_bytes()[:-21])
        with pytest.raises(MeshError, match=r"COMMERCE_eu (cannot be read|is not complete)"):
            await restore(operator, folder, SECRET, servers.topology, [], force=["COMMERCE_eu"])
        assert await eu.last(CartUpdated, "c1") is not None, "nothing was touched"


async def test_the_commands_save_and_restore(tmp_path, monkeypatch, capsys):
    """With the secret in the environment; without it, or without the other regions, they say what is missing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mesh.toml").write_text(MESH)
    async with LocalServers(Topology.of(["eu"], nodes=1), services=[watcher]) as servers:
        await (await connected(servers, "eu")).publish(cart("c1"))
        where = ["--region", "eu", "--servers", str(servers.write_state())]

        async def cartmesh(*words):
            await asyncio.to_thread(app(words[0]), [*words, *where], result_action="return_value")
            return capsys.readouterr().out

        monkeypatch.setenv("CARTMESH_BACKUP_KEY", "short")
        with pytest.raises(DeclarationError, match="CARTMESH_BACKUP_KEY has 5 characters"):
            await cartmesh("backup", "--to", "saved")
        monkeypatch.setenv("CARTMESH_BACKUP_KEY", SECRET)
        saved = await cartmesh("backup", "--to", "saved")
        (folder,) = (tmp_path / "saved").glob("eu-*")
        (tmp_path / "saved" / "eu-20200101T000000.000000Z").mkdir()
        (tmp_path / "saved" / "eu-20200101T000000.000000Z" / "backup.json").write_text("{}")
        assert "eu-20200101T000000.000000Z deleted" in await cartmesh("backup", "--to", "saved", "--keep", "2")
        with pytest.raises(TopologyError, match="there is no region 'us' here"):
            await cartmesh("restore", str(folder))
        with pytest.raises(MeshError, match="eu is not empty"):
            await cartmesh("restore", str(folder), "--without", "us")
        done = await cartmesh("restore", str(folder), "--without", "us", "--force", "COMMERCE_eu")

    assert "1 durables" in saved
    assert "eu: COMMERCE_eu: 1 messages" in done
    assert "Now: cartmesh mesh apply" in done
