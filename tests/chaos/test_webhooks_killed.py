"""SIGKILL of processes that deliver webhooks, at any moment: every event arrives, in order where that is asked."""

import asyncio
import random
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import msgspec
import pytest

from mesh import Money
from mesh.events.cart import CartLine
from mesh.events.order import OrderConfirmed, OrderRefunded
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.supervised_process import Child, stop_all
from mesh.runtime.worker import Ready
from mesh.topology.apply import api
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import OPERATOR
from services.console import service as console
from services.webhooks import service as webhooks
from tests.partner_endpoint import opened_endpoint, status

EURO = Money(amount=2598, currency="EUR")
LINE = CartLine(product_id="sku-1", quantity=2, price=Money(amount=1299, currency="EUR"))
TOPOLOGY = Topology.load(Path(__file__).parents[2] / "mesh.toml")
SETTINGS = {
    "CARTMESH_WEBHOOK_PRIVATE_ADDRESSES": "true",
    "CARTMESH_WEBHOOK_RETRIES": "100ms,200ms,400ms,1s,1s,1s,1s,1s,1s,1s",
    "CARTMESH_WEBHOOK_DEADLINE": "1s",
}
ACK_WAIT = 1.5
PATHS = ("/fast", "/strict")


def events(order):
    yield OrderConfirmed(order_id=order, lines=(LINE,), total=EURO)
    for amount in (1, 2, 3):
        yield OrderRefunded(order_id=order, refunded=Money(amount=amount, currency="EUR"))


async def redeliver_soon(servers):
    """What a killed process did not acknowledge comes again after `ACK_WAIT`."""
    connection = await servers.operator("us")
    for stream in ("COMMERCE_us", "DELIVERIES_us"):
        for consumer in (await api(connection, f"CONSUMER.LIST.{stream}"))["consumers"]:
            if consumer["name"].startswith("webhooks-"):
                config = consumer["config"] | {"ack_wait": int(ACK_WAIT * 1e9)}
                asked = {"stream_name": stream, "config": config, "action": "update"}
                await api(connection, f"CONSUMER.DURABLE.CREATE.{stream}.{consumer['name']}", asked)


def first_times(requests):
    """Order -> the amounts refunded, in the order in which each arrived first."""
    found = {}
    for one in requests:
        order, amount = one.event["subject"], one.event["data"].get("refunded", {}).get("amount", 0)
        if amount not in found.setdefault(order, []):
            found[order].append(amount)
    return found


def missing(endpoint, orders):
    """Of which orders something has not arrived, by path."""
    found = []
    for path in PATHS:
        arrived = first_times(endpoint.of(path))
        found += [(path, number) for number in range(orders) if len(arrived.get(f"o{number}", ())) < 4]
    return found


async def processes(stack, servers, folder, topology, lease):
    """Two processes that deliver, side by side; each comes back when it was killed."""
    files = {"--servers": folder / "servers.json", "--topology": folder / "topology.json"}
    servers.access.write(files["--servers"])
    files["--topology"].write_bytes(msgspec.json.encode(topology))
    words = [str(word) for pair in files.items() for word in pair]
    command = [sys.executable, "-m", "mesh.cli", "run", "webhooks", "--region", "us", *words]
    settings = SETTINGS | {"CARTMESH_WEBHOOK_LEASE": lease}
    children = [Child(f"webhooks-{at}", command, settings, folder) for at in range(2)]
    stack.push_async_callback(stop_all, children)
    await asyncio.gather(*(child.start() for child in children))
    return children


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("nodes", "orders", "kills", "lease"),
    [pytest.param(1, 25, 1, "2s", id="small"), pytest.param(3, 500, 10, "15s", id="drill", marks=pytest.mark.drill)],
)
async def test_a_process_may_be_killed_at_any_moment(signed_in, eventually, tmp_path, nodes, orders, kills, lease):
    """Nothing is lost, an event that comes twice has one id, and no order's events overtake each other."""
    topology = TOPOLOGY.only("us", nodes=nodes)
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(opened_endpoint())
        for path in PATHS:
            endpoint.answers[path] = lambda count, _: status(500 if count % 7 == 0 else 200)
        servers = await stack.enter_async_context(LocalServers(topology, services=[webhooks, console]))
        operator = await connect(servers.access, "us", OPERATOR)
        stack.push_async_callback(operator.broker.drain)
        await redeliver_soon(servers)
        children = await processes(stack, servers, tmp_path, topology, lease)
        urls = [f"http://127.0.0.1:{msgspec.json.decode(one.line, type=Ready).ports['webhooks']}" for one in children]
        headers = await signed_in(operator, "publisher")
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            for path in PATHS:
                form = {"name": path, "url": endpoint.url(path), "ordered": path == "/strict"}
                assert (await client.post(f"{urls[0]}/webhooks/v1", json=form)).status_code == 201

            async def the_other_knows_them():
                return len((await client.get(f"{urls[1]}/webhooks/v1")).json()) == len(PATHS)

            await eventually(the_other_knows_them)

        async def shop():
            for number in range(orders):
                for event in events(f"o{number}"):
                    await operator.publish(event)
                await asyncio.sleep(0.01)

        shopping = asyncio.create_task(shop())
        for turn in range(kills):
            seen = len(endpoint.requests)
            await eventually(lambda seen=seen: len(endpoint.requests) > seen + 20)
            await asyncio.sleep(random.uniform(0, 0.05))
            await children[turn % 2].kill()
            await asyncio.wait_for(children[(turn + 1) % 2].ready.wait(), 60)
        await shopping

        whole = {f"o{number}": [0, 1, 2, 3] for number in range(orders)}

        await eventually(lambda: not missing(endpoint, orders), within=240)
        assert first_times(endpoint.of("/strict")) == whole
        for path in PATHS:
            assert len({(one.headers["webhook-id"], one.body) for one in endpoint.of(path)}) == 4 * orders
