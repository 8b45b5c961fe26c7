"""Erasure on real servers: after it the address is in no stream, bucket, object, dead letter or file of any region."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import msgspec
import pytest

from mesh import Mesh, Service
from mesh.accept import Sent
from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import Bury
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.profile import ProfileErased
from mesh.money import Money
from mesh.personal_data import PERSONAL_KEYS
from mesh.profiles import address_digest, read_profile
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.apply import api
from mesh.topology.mesh_toml import Topology
from ml.scoring.service import service as scoring
from ml.scoring.shopper_memory import SHOPPERS
from services.identity import identify_customer
from services.identity import service as identity

ADDRESS, NAME = "ada.lovelace@example.test", "Ada Lovelace-Byron"
shop = Service("shop", publishes=(CartUpdated,))


@shop.on(CustomerIdentified)
async def greet(identified: CustomerIdentified) -> None:
    """A handler that fails on every address, and says it: its dead letters must not."""
    raise Bury(f"cannot greet {identified.email or 'anybody'} with {ADDRESS}")


SERVICES = (identity, shop, scoring)


@pytest.fixture
async def servers():
    async with LocalServers(Topology.of(["us", "eu"], nodes=3), services=SERVICES) as started:
        yield started


async def connected(servers, stack, region, name):
    login = servers.credentials(region, name)
    broker = await JetStreamBroker.connect(
        region, login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
    )
    stack.push_async_callback(broker.drain)
    return Mesh(broker, name, others=("eu",) if region == "us" else ("us",))


async def identify(mesh, visitor):
    """As the gateway does with what a storefront sends."""
    event = CustomerIdentified(visitor_id=visitor, email=ADDRESS, name=NAME, customer_id="k1")
    now = datetime.now(UTC)
    sent = Sent(event=event, id=f"identify-{visitor}", time=now, received=now, by="server")
    await mesh.publish(*[change async for change in identify_customer(sent, mesh)])


async def started(servers, stack, region, service):
    """A service that runs in a region until the stack is closed; its mesh."""
    mesh = await connected(servers, stack, region, service.name)
    await stack.enter_async_context(running(service, mesh))
    return mesh


async def leave_carts(shop_mesh, purchases, eventually):
    """The cart of a person who will be erased, and a stranger's, until models keep them by visitor."""
    line = CartLine(product_id="p1", quantity=1, price=Money(amount=100, currency="EUR"))
    for visitor in ("laptop", "stranger"):
        await shop_mesh.publish(CartUpdated(cart_id=f"of-{visitor}", visitor_id=visitor, lines=(line,)))
        await eventually(lambda who=visitor: purchases.get(who), within=60)


async def absent(state, key):
    return await state.get(key) is None


async def held(servers, region):
    """Every message of every stream that there is in a region: streams, buckets, object stores and dead letters."""
    connection, found = await servers.operator(region), []
    names = list((await api(connection, "STREAM.NAMES"))["streams"] or ())
    for stream in names:
        state = (await api(connection, f"STREAM.INFO.{stream}"))["state"]
        for sequence in range(max(1, state["first_seq"]), state["last_seq"] + 1):
            reply = await connection.request(f"$JS.API.DIRECT.GET.{stream}", json.dumps({"seq": sequence}).encode())
            if reply.headers and "Nats-Subject" in reply.headers:
                found.append(f"{stream} {reply.headers}".encode() + reply.data)
    return names, found


def files_with(servers, *needles):
    """Files below the mesh's folder, of servers and of their logs, in which one of these bytes stands."""
    return [
        str(path.relative_to(servers.directory))
        for path in servers.directory.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    ]


async def cartmesh(*words):
    """The command's output, of a process of its own."""
    command = [sys.executable, "-m", "mesh.cli", "profile", *words]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


@pytest.mark.timeout(300)
async def test_after_erasure_the_address_is_nowhere(servers, capfd, eventually):
    """A person on three devices in two regions is erased by their address: keys, profile and fields are gone.

    What models keep by visitor is gone as well, and what others have there stays. Once the Raft logs of the keys are
    renewed, the keys are in no file of any server.
    """
    async with AsyncExitStack() as stack:
        meshes = {region: await started(servers, stack, region, identity) for region in ("us", "eu")}
        shops = [await started(servers, stack, region, shop) for region in meshes]
        purchases = (await started(servers, stack, "us", scoring)).state(SHOPPERS)
        us, eu = meshes["us"], meshes["eu"]
        everybody = {"laptop": us, "phone": us, "tablet": eu}
        for visitor, mesh in everybody.items():
            await identify(mesh, visitor)
        await leave_carts(shops[0], purchases, eventually)

        async def all_known(mesh):
            return everybody.keys() <= set((await read_profile(mesh, None, [address_digest(ADDRESS)])).visitors)

        await eventually(lambda: all_known(us), within=60)
        await eventually(lambda: all_known(eu), within=60)

        async def dead_letters_in(region):
            return [one for one in (await held(servers, region))[1] if one.startswith(b"DEAD_")]

        letters = [
            *await eventually(lambda: dead_letters_in("us"), within=60),
            *await eventually(lambda: dead_letters_in("eu"), within=60),
        ]
        secrets = [(await mesh.state(PERSONAL_KEYS).get(one)) for mesh in meshes.values() for one in everybody]
        keys = [msgspec.json.encode(key.secret).strip(b'"') for key in secrets if key]
        read = (await us.history("laptop", "customer")).last(CustomerIdentified).event.email
        on_disk = files_with(servers, *keys)

        state = servers.write_state()
        export = json.loads(await cartmesh("export", "--address", ADDRESS, "--region", "us", "--servers", str(state)))
        erasing = await cartmesh("erase", "--address", ADDRESS.upper(), "--region", "us", "--servers", str(state))
        digest = address_digest(ADDRESS)
        proofs = [
            (await eventually(lambda r=region: us.last(ProfileErased, digest, region=r), within=60)).event
            for region in ("us", "eu")
        ]

        await eventually(lambda: absent(purchases, "laptop"), within=60)
        others = await purchases.get("stranger")
        gone = [
            (await mesh.history(visitor, "customer")).last(CustomerIdentified).event
            for visitor, mesh in everybody.items()
        ]
        profiles = [await read_profile(mesh, None, [digest]) for mesh in meshes.values()]
        streams = [await held(servers, region) for region in meshes]

    needles = (ADDRESS.encode(), NAME.encode(), ADDRESS.upper().encode())
    assert read == ADDRESS
    assert on_disk, "the search of files finds what is there: a key, before it is destroyed"
    assert letters
    identifications = [one["data"] for one in export["events"] if one["type"] == "customer.identified.v1"]
    assert {(one["visitor_id"], one["email"], one["name"]) for one in identifications} == {
        (visitor, ADDRESS, NAME) for visitor in ("laptop", "phone")
    }
    assert set(export["visitors"]) == everybody.keys()
    assert {"profiles", "personal-keys"} <= set(export["buckets"])
    assert "secret" not in json.dumps(export["buckets"]["personal-keys"])
    assert erasing.splitlines()[1:] == ["us: erased, 2 keys destroyed", "eu: erased, 1 keys destroyed"]
    assert [proof.keys for proof in proofs] == [2, 1]
    assert [CustomerIdentified(visitor_id=one) for one in ("laptop", "phone", "tablet")] == gone
    assert [profile.visitors for profile in profiles] == [(), ()]
    for names, messages in streams:
        assert {"KV_personal-keys", "KV_profiles"} <= set(names)
        assert not [one for one in messages if any(needle in one for needle in (*needles, *keys))]
        assert not [one for one in messages if one.startswith(b"KV_visitor-purchases") and b"laptop" in one]
    assert (others is not None, files_with(servers, *needles)) == (True, [])
    assert [file for file in files_with(servers, *keys) if "/streams/" in file] == []
    assert await cartmesh("renew-key-log", "--servers", str(state)) == "us: log renewed\neu: log renewed\n"
    await eventually(lambda: not files_with(servers, *keys), within=60)
    written = "".join(capfd.readouterr())
    assert ADDRESS not in written
