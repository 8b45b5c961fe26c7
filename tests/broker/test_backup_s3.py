"""A region is saved to S3 and made again from there: in parts, unreadable for others, and whole or not at all."""

import asyncio
import os

import boto3
import httpx
import obstore
import pytest
from moto.server import ThreadedMotoServer

from mesh.cli import app
from mesh.errors import MeshError, Unavailable
from mesh.events.cart import CartUpdated
from mesh.operations import backup_store
from mesh.operations.backup import back_up
from mesh.operations.backup_store import COVER, BackupStore
from mesh.operations.restore import restore
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.streams import ObjectStore
from mesh.topology.mesh_toml import Topology
from tests.broker.test_backup import cart, connected

SECRET = "known to the operator alone"
PAPERS = ObjectStore("papers")
PAPER = os.urandom(6_000_000)
"""More than one part of an upload."""
PLACE = "s3://backups/of/shop"
watcher = Service("watcher", publishes=(CartUpdated,), object_stores=(PAPERS,))


@pytest.fixture
def bucket(monkeypatch):
    """A bucket on a server that speaks S3, found by the variables that all programs read."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "operator",
        "AWS_SECRET_ACCESS_KEY": "of the bucket",
        "AWS_REGION": "us-east-1",
        "CARTMESH_BACKUP_KEY": SECRET,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(backup_store, "_PART_BYTES", 5 * 1024 * 1024)  # the least that S3 takes
    try:
        httpx.post(f"http://{host}:{port}/moto-api/reset")  # what another test left, in the same process
        boto3.client("s3").create_bucket(Bucket="backups")
        yield BackupStore.open(PLACE)
    finally:
        server.stop()


async def test_a_region_is_saved_to_s3_and_made_again(bucket, monkeypatch, tmp_path, capsys):
    """Large streams go in parts; a backup without its cover is none, a file that was cut is refused, older ones go."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mesh.toml").write_text("[regions.eu]\nnodes = 1\n")
    async with LocalServers(Topology.of(["eu"], nodes=1), services=[watcher]) as servers:
        eu, operator = await connected(servers, "eu"), await servers.operator("eu")
        where = ["--region", "eu", "--servers", str(servers.write_state())]

        async def cartmesh(*words):
            await asyncio.to_thread(app(words[0]), [*words, *where], result_action="return_value")
            return capsys.readouterr().out

        await eu.publish(cart("c1"))
        await eu.broker.object_put(PAPERS, "a", PAPER)
        first = await cartmesh("backup", "--to", PLACE)
        (name,) = await bucket.folders()
        parts = (await obstore.head_async(bucket.store, f"{name}/OBJ_papers"))["e_tag"]
        await eu.publish(cart("c2"))
        with pytest.raises(MeshError, match="eu is not empty, nothing was changed: OBJ_papers, COMMERCE_eu"):
            await restore(operator, f"{PLACE}/{name}", SECRET, servers.topology, [])
        force = ["--force", "COMMERCE_eu", "--force", "OBJ_papers"]
        restored = await cartmesh("restore", f"{PLACE}/{name}", *force)

        assert f"{PLACE}/{name}: " in first
        assert parts.strip('"').endswith("-2"), "in two parts"
        assert "eu: COMMERCE_eu: 1 messages" in restored
        assert await eu.last(CartUpdated, "c2") is None
        assert await eu.broker.object_get(PAPERS, "a") == PAPER

        whole = bytes(await (await obstore.get_async(bucket.store, f"{name}/COMMERCE_eu")).bytes_async())
        await bucket.put(f"{name}/COMMERCE_eu", whole[:-21])
        with pytest.raises(MeshError, match=r"COMMERCE_eu (cannot be read|is not complete)"):
            await restore(operator, f"{PLACE}/{name}", SECRET, servers.topology, [], force=["COMMERCE_eu"])
        await obstore.delete_async(bucket.store, f"{name}/{COVER}")
        with pytest.raises(MeshError, match=f"{PLACE}/{name} is no backup"):
            await restore(operator, f"{PLACE}/{name}", SECRET, servers.topology, [], force=["COMMERCE_eu"])
        assert await eu.last(CartUpdated, "c1"), "nothing was touched"

        kept = await cartmesh("backup", "--to", PLACE, "--keep", "1")
        assert f"{PLACE}/{name} deleted" in kept
        assert len(await bucket.folders()) == 1


async def test_what_was_broken_off_is_no_backup(bucket, monkeypatch):
    """Ended in the middle it takes back what it had sent; a bucket that is not there is named."""
    async with LocalServers(Topology.of(["eu"], nodes=1), services=[watcher]) as servers:
        eu, operator = await connected(servers, "eu"), await servers.operator("eu")
        await eu.publish(cart("c1"))
        put = BackupStore.put

        async def broken_off(store, name, content):
            await put(store, name.replace(COVER, "half"), content)
            raise asyncio.CancelledError

        with monkeypatch.context() as late:
            late.setattr(BackupStore, "put", broken_off)
            with pytest.raises(asyncio.CancelledError):
                await back_up(operator, PLACE, SECRET)

        assert await bucket.folders() == []
        with pytest.raises((MeshError, Unavailable), match=r"s3://nowhere/.*NoSuchBucket"):
            await back_up(operator, "s3://nowhere", SECRET)
    for wrong in ("gs://bucket", "s3://"):
        with pytest.raises(MeshError, match="s3://BUCKET/PREFIX"):
            BackupStore.open(wrong)
