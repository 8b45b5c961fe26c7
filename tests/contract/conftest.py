"""The same tests on two grounds: the broker in memory, and JetStream on a real nats-server."""

import asyncio
import contextlib
import importlib
import json
import pkgutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest

import mesh.events
from mesh.broker.durable import consumer_config
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.memory import MemoryMesh
from mesh.broker.protocol import Broker
from mesh.streams import Bucket, ConsumerSpec, ObjectStore
from mesh.topology.derive.nats import (
    bucket_config,
    holdings,
    object_store_config,
    stream_config,
    streams,
)
from mesh.topology.mesh_toml import Topology

SERVER = """
server_name: contract
listen: "127.0.0.1:-1"
ports_file_dir: "{folder}"
jetstream {{ domain: us, store_dir: "{folder}/store" }}
accounts {{
{accounts}
}}
"""
ACCOUNT = """
  TEST_{at} {{ jetstream: enabled, users: [
    {{ user: everything_{at}, password: secret }}
    {{ user: carts_{at}, password: secret, permissions: {{
       publish: {{ allow: ["ev.us.cart.>"] }}, subscribe: {{ allow: ["_INBOX_carts.>"] }} }} }}
  ] }}
"""
for _event_module in pkgutil.iter_modules(mesh.events.__path__, "mesh.events."):
    importlib.import_module(_event_module.name)  # the streams' subjects follow from what is declared


class Ground(Protocol):
    """A region on which the contract is tried."""

    broker: Broker

    async def connect(self) -> Broker:
        """Another connection of the user who may do everything."""

    async def connect_carts(self) -> Broker:
        """A connection of a user who may only publish `ev.us.cart.>`."""

    async def connect_abroad(self) -> Broker:
        """A connection to a second region, `eu`, whose commerce stream `MESH_us` copies."""

    async def durable(self, **options: Any) -> ConsumerSpec:
        """A durable consumer that exists."""

    async def bucket(self, bucket: Bucket) -> Bucket:
        """A bucket that exists."""

    async def object_store(self, object_store: ObjectStore) -> ObjectStore:
        """A object store that exists."""


class InMemory:
    def __init__(self) -> None:
        self.mesh = MemoryMesh("us", "eu")
        self.broker: Broker = self.mesh.broker("us")

    async def connect(self) -> Broker:
        return self.mesh.broker("us")

    async def connect_carts(self) -> Broker:
        return self.mesh.broker("us", may_publish=("ev.us.cart.>",))

    async def connect_abroad(self) -> Broker:
        return self.mesh.broker("eu")

    async def durable(self, **options: Any) -> ConsumerSpec:
        return ConsumerSpec(**options)

    async def bucket(self, bucket: Bucket) -> Bucket:
        return bucket

    async def object_store(self, object_store: ObjectStore) -> ObjectStore:
        return object_store


class OnServer:
    """An account of its own on the shared server: a stream that is deleted still answers for a moment."""

    def __init__(self, url: str, account: int) -> None:
        self.url, self.account = url, account
        self.opened: list[JetStreamBroker] = []

    async def prepare(self) -> "OnServer":
        self.admin, self.broker = await self.connect(), await self.connect()
        for stream in streams(Topology.of(["us"], nodes=1), "us"):
            await self._create(stream_config(stream))
        return self

    async def connect(self) -> JetStreamBroker:
        return await self._connect(f"everything_{self.account}", "_INBOX")

    async def connect_carts(self) -> JetStreamBroker:
        return await self._connect(f"carts_{self.account}", "_INBOX_carts")

    async def connect_abroad(self) -> JetStreamBroker:
        """The second region's stream stands in the same account, so its copy needs no domain."""
        both = Topology.of(["us", "eu"], nodes=1)
        (commerce, *_), copies = streams(both, "eu"), holdings(both, [], "us").streams["MESH_us"]
        await self._create(stream_config(commerce))
        delivering = holdings(both, [], "eu").consumers["COMMERCE_eu", "copy_us"] | {"num_replicas": 1}
        await self._ask("CONSUMER.CREATE.COMMERCE_eu.copy_us", {"stream_name": "COMMERCE_eu", "config": delivering})
        sources = [
            {key: source[key] for key in ("name", "consumer")}
            for source in copies["sources"]
            if source["name"] == commerce.name
        ]
        await self._ask("STREAM.UPDATE.MESH_us", copies | {"sources": sources, "num_replicas": 1})
        return await self._connect(f"everything_{self.account}", "_INBOX", region="eu")

    async def durable(self, **options: Any) -> ConsumerSpec:
        spec = ConsumerSpec(**options)
        await self._ask(
            f"CONSUMER.CREATE.{spec.stream}.{spec.durable}",
            {"stream_name": spec.stream, "config": consumer_config(spec)},
        )
        return spec

    async def bucket(self, bucket: Bucket) -> Bucket:
        await self._create(bucket_config(bucket, 1))
        return bucket

    async def object_store(self, object_store: ObjectStore) -> ObjectStore:
        await self._create(object_store_config(object_store, 1))
        return object_store

    async def close(self) -> None:
        listed = json.loads((await self.admin.connection.request("$JS.API.STREAM.NAMES", b"")).data)
        for name in listed["streams"] or ():
            await self._ask(f"STREAM.DELETE.{name}", {})
        for broker in self.opened:
            await broker.drain()

    async def _connect(self, user: str, inbox: str, *, region: str = "us") -> JetStreamBroker:
        broker = await JetStreamBroker.connect(region, [self.url], user=user, password="secret", inbox_prefix=inbox)
        self.opened.append(broker)
        return broker

    async def _create(self, config: dict[str, Any]) -> None:
        await self._ask(f"STREAM.CREATE.{config['name']}", config)

    async def _ask(self, api: str, body: dict[str, Any]) -> None:
        reply = await self.admin.connection.request(f"$JS.API.{api}", json.dumps(body).encode())
        failure = json.loads(reply.data).get("error")
        assert failure is None, f"{api}: {failure}"


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one nats-server with JetStream and an account for each test."""
    folder = tmp_path_factory.mktemp("server")
    config = folder / "server.conf"
    tests = sum("ground" in item.fixturenames for item in request.session.items)
    accounts = "".join(ACCOUNT.format(at=at) for at in range(tests))
    config.write_text(SERVER.format(folder=folder, accounts=accounts))
    binary = Path(sys.executable).with_name("nats-server")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([binary, "-c", config], stdout=log, stderr=log)
    try:
        ports, deadline = folder / f"nats-server_{process.pid}.ports", time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, ValueError):
                url = json.loads(ports.read_text())["nats"][0]
                break
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.01)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="session")
def accounts() -> Iterator[int]:
    """Numbers of accounts that no test has used."""
    return count()


@pytest.fixture(params=["memory", "jetstream"])
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[Ground]:
    """An empty region `us`, in memory or on a server."""
    if request.param == "memory":
        here = InMemory()
        yield here
        await here.broker.drain()
        return
    on_server = OnServer(request.getfixturevalue("server"), next(request.getfixturevalue("accounts")))
    try:
        async with asyncio.timeout(60):
            await on_server.prepare()
        yield on_server
    finally:
        await on_server.close()


@pytest.fixture
def broker(ground: Ground) -> Broker:
    """A connection to the empty region."""
    return ground.broker
