"""How long an order and its fraud check take alone: three servers and the one service run, nothing else of the mesh.

`pytest -m drill -s tests/stories/test_order_latency.py` prints the figures.
"""

import asyncio
import math
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec
import psutil
import pytest

from mesh import Money
from mesh.events.fraud import FraudCheckRequested, FraudCleared
from mesh.events.payment import PaymentFlagged
from mesh.events.product import ProductListed
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.ports import free_ports
from mesh.service import Service
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from services import checkout, fraud, orders, promotions
from services.demo.bench.http_client import connected
from services.demo.flash_sale.buyers import body_of
from services.demo.flash_sale.plan import Purchase
from tests.stories.test_model_life import worker

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]
THREE = Topology.parse("replicas = 3\n[regions.us]\nnodes = 3\n")
RATE, WARM_UP, SECONDS = 100, 5, 20
KEY = "latency"
teller = Service("shop", publishes=(ProductListed,))


async def test_an_order_is_accepted_within_fifty_milliseconds(tmp_path, monkeypatch):
    """`POST /v1/orders` to its answer, which comes once three servers have the order: p99 <= 50 ms at 100 a second."""
    (port,) = free_ports(1)
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", KEY)
    monkeypatch.setenv("CARTMESH_PORT_ORDERS", str(port))
    async with mesh_of(tmp_path, teller, orders.service, promotions.service) as as_user:
        shop = await as_user("shop")
        await shop.publish(
            *(ProductListed(product_id=f"sku-{at}", price=Money(amount=1999, currency="EUR")) for at in range(20))
        )
        async with worker(tmp_path, "orders") as process, connected(f"http://127.0.0.1:{port}", KEY) as client:

            async def order(number):
                purchase = Purchase(
                    reference=f"order-{number}",
                    region="us",
                    lines={f"sku-{number % 20}": 1},
                    card=f"card-{number}",
                    buyer=f"buyer-{number}",
                )
                answer = await client.post(
                    "/v1/orders", body_of(purchase), f"Idempotency-Key: {purchase.reference}\r\n"
                )
                assert answer.status == 201, answer.body

            async with cpu_shown(process.pid):
                taken = await timed(order)
    shown("order accepted", taken)

    assert len(taken) == RATE * SECONDS


async def test_a_payment_is_judged_within_ten_milliseconds(tmp_path, eventually):
    """From the stored request to the stored answer, of which every tenth is a flag: p99 <= 10 ms at 100 a second."""
    async with mesh_of(tmp_path, checkout.service, fraud.service) as as_user:
        requests, operator = await as_user("checkout"), await as_user("operator")
        async with worker(tmp_path, "fraud") as process, cpu_shown(process.pid):

            async def ask(number):
                facts = {"card": f"card-{number}", "device": "one" if number % 10 == 0 else f"device-{number}"}
                total = Money(amount=4200, currency="EUR")
                await requests.publish(FraudCheckRequested(order_id=f"o-{number}", amount=total, **facts))

            stored = await timed(ask)
            last = f"o-{RATE * (WARM_UP + SECONDS) - 1}"
            await eventually(lambda: operator.last(FraudCleared, last), within=60)
            asked = {one.event.order_id: one async for one in operator.read(FraudCheckRequested)}
            answered = [one async for one in operator.read(FraudCleared, PaymentFlagged)]
    counted = [one for one in answered if int(one.event.order_id[2:]) >= RATE * WARM_UP]
    judged = [(one.stored - asked[one.event.order_id].stored).total_seconds() for one in counted]
    flagged = [at for at, one in zip(judged, counted, strict=True) if isinstance(one.event, PaymentFlagged)]
    shown("request stored and acknowledged", stored)
    shown("judged", judged)
    shown("flagged", flagged)

    assert len(judged) == RATE * SECONDS
    assert len(flagged) == RATE * SECONDS / 10


@asynccontextmanager
async def mesh_of(folder, *services):
    """Three servers for these services; yields what connects as a user."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(LocalServers(THREE, services=services))
        servers.access.write(folder / "servers.json")
        (folder / "topology.json").write_bytes(msgspec.json.encode(servers.topology))

        async def as_user(name):
            mesh = await connect(servers.access, "us", name)
            stack.push_async_callback(mesh.broker.drain)
            return mesh

        yield as_user


@asynccontextmanager
async def cpu_shown(service):
    """Print the CPU of one call, and for how long its processes were ready to run and others had the cores."""
    servers = [one.pid for one in psutil.Process().children(recursive=True) if one.name() == "nats-server"]
    before = [cpu_of([service]), cpu_of(servers)]
    yield
    after = [cpu_of([service]), cpu_of(servers)]
    for name, old, new in zip(("the service", "three servers"), before, after, strict=True):
        ran, waited = ((now - then) / 1e6 / (RATE * (WARM_UP + SECONDS)) for then, now in zip(old, new, strict=True))
        print(f"\n{name}, of one at {RATE}/s: {ran:.2f} ms of CPU, {waited:.2f} ms ready to run")


def cpu_of(processes):
    """Nanoseconds in which the threads of processes ran, and in which they waited for a core (sched-stats.rst)."""
    found = [0, 0]
    for thread in (one for process in processes for one in Path(f"/proc/{process}/task").iterdir()):
        with suppress(OSError):  # it has ended meanwhile
            ran, waited, _ = map(int, (thread / "schedstat").read_text().split())
            found = [found[0] + ran, found[1] + waited]
    return found


async def timed(call):
    """Call at the rate, with numbers from 0; the seconds that each call took, without those of the warm-up."""
    clock = asyncio.get_running_loop().time
    began, found = clock(), {}

    async def one(number):
        at = clock()
        await call(number)
        found[number] = clock() - at

    async with asyncio.TaskGroup() as calls:
        for number in range(RATE * (WARM_UP + SECONDS)):
            await asyncio.sleep(max(0.0, began + number / RATE - clock()))
            calls.create_task(one(number))
    return [seconds for number, seconds in found.items() if number >= RATE * WARM_UP]


def shown(what, seconds):
    """Print percentiles: the smallest value that so many are not above."""
    ordered = sorted(seconds)
    p50, p99 = (ordered[math.ceil(len(ordered) * share) - 1] * 1000 for share in (0.5, 0.99))
    longest = ordered[-1] * 1000
    print(f"\n{what}, {len(ordered)} at {RATE}/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {longest:.0f} ms")
