"""A rollout: an old and a new service run side by side on a server, each writes its version, and nothing is lost."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest

from mesh.broker.protocol import Outgoing
from mesh.envelope import Envelope
from mesh.streams import Bucket

pytestmark = pytest.mark.parametrize("ground", ["jetstream"], indirect=True)

OLD = '''
"""Carts as they were weighed at first."""
from mesh.event import Event, event

@event(key="cart_id")
class CartWeighed(Event):
    """A cart was weighed."""
    cart_id: str
    grams: int

def weighed(cart_id, grams):
    return CartWeighed(cart_id=cart_id, grams=grams)

def grams(event):
    return event.grams
'''
NEW = '''
"""Carts as they are weighed since there are scales that know their error."""
from mesh.event import Event, event

def without_error(data):
    """Version 1 was in whole grams and knew of no error."""
    return {"cart_id": data["cart_id"], "milligrams": 1000 * data["grams"], "error": 0}

@event(key="cart_id", version=2, upcasts=(without_error,))
class CartWeighed(Event):
    """A cart was weighed."""
    cart_id: str
    milligrams: int
    error: int

def weighed(cart_id, grams):
    return CartWeighed(cart_id=cart_id, milligrams=1000 * grams, error=1)

def grams(event):
    return event.milligrams // 1000
'''
SERVICE = '''
"""Keeps what each cart weighs. Commands on stdin: publish KEY GRAMS, rebuild; an answer on stdout for each."""
import asyncio, sys
from mesh import Mesh, Service
from mesh.broker.jetstream import JetStreamBroker
from mesh.operations.rebuild import rebuild
from mesh.runtime.run import running
from mesh.streams import Bucket
from mesh.topology.mesh_toml import Topology
from cart import CartWeighed, grams, weighed

WEIGHTS = Bucket("weights", dict, rebuilt=True)
service = Service("scales", publishes=(CartWeighed,), buckets=(WEIGHTS,))

@service.on(CartWeighed, projects=WEIGHTS)
async def keep_weight(event: CartWeighed, mesh: Mesh) -> None:
    """Keep it."""
    await mesh.state(WEIGHTS).put(event.cart_id, {"grams": grams(event), "by": sys.argv[3]})

async def main(url, user):
    login = {"user": user, "password": "secret", "inbox_prefix": "_INBOX"}
    broker = await JetStreamBroker.connect("us", [url], **login)
    admin = await JetStreamBroker.connect("us", [url], **login)
    mesh = Mesh(broker, "scales")
    async with running(service, mesh):
        print("ready", flush=True)
        while command := (await asyncio.to_thread(sys.stdin.readline)).split():
            if command[0] == "publish":
                await mesh.publish(weighed(command[1], int(command[2])))
            else:
                await rebuild(admin.connection, Topology.of(["us"], nodes=1), [service], "weights")
            print("done", flush=True)
    await broker.drain()
    await admin.drain()

asyncio.run(main(*sys.argv[1:3]))
'''


class Process:
    """A service in a process of its own, in which the event is declared in one version."""

    def __init__(self, process):
        self.process = process

    async def ask(self, command):
        self.process.stdin.write(f"{command}\n".encode())
        await self.process.stdin.drain()
        await self.answered("done")

    async def answered(self, wanted):
        line = await asyncio.wait_for(self.process.stdout.readline(), 60)
        assert line.decode().strip() == wanted


@pytest.fixture
def service(ground, tmp_path):
    """Run the service with these declarations until the block ends."""

    @asynccontextmanager
    async def started(name, declarations):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "cart.py").write_text(declarations)
        (folder / "scales.py").write_text(SERVICE)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, folder / "scales.py", ground.url, f"everything_{ground.account}", name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            running = Process(process)
            await running.answered("ready")
            yield running
            process.stdin.close()
            assert await asyncio.wait_for(process.wait(), 60) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    return started


@pytest.fixture
async def weights(ground):
    """What the service keeps, by cart."""
    bucket = await ground.bucket(Bucket("weights", dict, rebuilt=True))
    await ground.durable(stream="COMMERCE_us", durable="scales-keep-weight", filters=("ev.us.cart.weighed.*",))

    async def read():
        return {
            entry.key: tuple(json.loads(entry.value).values())
            async for entry in ground.broker.kv_entries(bucket)
            if entry.value is not None
        }

    return read


async def test_old_and_new_services_share_one_stream_of_both_versions(ground, service, weights, eventually):
    """The old one leaves to the new one what it does not know, and a rebuild reads everything."""

    async def kept(*keys):
        return set(keys) <= (await weights()).keys()

    async def redelivered():
        info = await ground.admin.connection.request(
            "$JS.API.CONSUMER.INFO.COMMERCE_us.scales-keep-weight", b"", wait=5
        )
        return json.loads(info.data)["num_redelivered"]

    async with service("old", OLD) as old:
        await old.ask("publish first 100")
        await ground.broker.store("COMMERCE_us", newer("early", 200))
        await eventually(redelivered, within=30)
        await old.ask("publish second 300")
        await eventually(lambda: kept("first", "second"), within=30)
        assert await weights() == {"first": (100, "old"), "second": (300, "old")}

        async with service("new", NEW) as new:
            for at in range(20):
                await old.ask(f"publish old-{at} {at}")
                await new.ask(f"publish new-{at} {at}")
            both = [f"{name}-{at}" for name in ("old", "new") for at in range(20)]
            await eventually(lambda: kept("early", *both), within=60)
            shared = await weights()

    async with service("newest", NEW) as newest:
        await newest.ask("rebuild")
        rebuilt = await weights()

    expected = {"first": 100, "second": 300, "early": 200} | {name: int(name.partition("-")[2]) for name in both}
    assert {key: grams for key, (grams, _) in shared.items()} == expected
    assert rebuilt == {key: (grams, "newest") for key, grams in expected.items()}
    assert {by for key, (_, by) in shared.items() if key.startswith("new-") or key == "early"} == {"new"}
    assert [message async for message in ground.broker.read("DEAD_us", [">"])] == []


def newer(key, grams):
    """A message as the new service writes it."""
    data = msgspec.json.encode({"cart_id": key, "milligrams": 1000 * grams, "error": 1})
    envelope = Envelope(
        specversion="1.0",
        id=key,
        source="/us/scales",
        type="cart.weighed.v2",
        subject=key,
        time=datetime.now(UTC),
        data=msgspec.Raw(data),
    )
    return Outgoing(subject=f"ev.us.cart.weighed.{key}", body=msgspec.json.encode(envelope), id=key)
