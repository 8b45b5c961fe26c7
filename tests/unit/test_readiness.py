"""When a process says that it is ready."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from mesh import Mesh, Received, Service
from mesh.events.cart import CartUpdated
from mesh.observability.metrics import PENDING
from mesh.runtime.run import running
from mesh.runtime.serving import serving
from mesh.web.health import health_app


@pytest.fixture
def slow():
    """A service that keeps the last hour's carts in its memory, and one at a time while `gate` is open."""
    service, gate = Service("slow"), asyncio.Event()

    @service.on(CartUpdated, fanout=True, since=timedelta(hours=1), concurrency=1)
    async def keep_carts(received: Received) -> None:
        await gate.wait()

    return service, gate


async def asked(port):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        answer = await client.get("/readyz")
    return answer.status_code, answer.text


async def test_a_process_is_ready_once_its_memory_is_filled(mesh, regions, slow, eventually):
    """Before, it would answer from a part of what happened; it says what it still reads."""
    service, gate = slow
    for number in range(50):
        await mesh.publish(CartUpdated(cart_id=f"c{number}", visitor_id="v", lines=()))
    own = Mesh(regions.broker("us"), "slow")

    async with running(service, own) as run, serving(health_app(mesh, own), "127.0.0.1", 0) as at:
        early = await asked(at)
        gate.set()

        async def ready():
            return await asked(at) == (200, "ok\n")

        await eventually(ready)
        await run.stop()
        late = await asked(at)

    assert early[0] == 503
    assert "slow still reads COMMERCE_us/slow-keep-carts" in early[1]
    assert late[0] == 503
    assert "slow is stopping" in late[1]


async def test_a_durables_backlog_does_not_keep_a_process_from_working(mesh, regions):
    """Whoever waits until the work is done before it is ready never gets to it."""
    service, gate = Service("worker"), asyncio.Event()

    @service.on(CartUpdated)
    async def count_carts(updated: CartUpdated) -> None:
        await gate.wait()

    await mesh.publish(*(CartUpdated(cart_id=f"c{number}", visitor_id="v", lines=()) for number in range(50)))

    async with running(service, Mesh(regions.broker("us"), "worker")) as run:
        problem = run.unready()
        gate.set()

    assert problem is None


async def test_each_stream_of_a_durable_has_its_own_backlog(mesh):
    """A handler of the whole mesh has two consumers of one name: neither's figure replaces the other's."""
    service = Service("both")

    @service.on(CartUpdated, reach="mesh")
    async def count_carts(updated: CartUpdated) -> None:
        """Counts."""

    async with running(service, mesh):
        shown = {sample.labels["stream"] for sample in PENDING.collect()[0].samples if "both-" in str(sample.labels)}

    assert shown == {"COMMERCE_us", "MESH_us"}
