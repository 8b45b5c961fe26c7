"""Webhooks: how soon an event reaches a partner while another does not answer, and how many are delivered a second.

One region of three servers and the service `webhooks` alone, in one process. The receivers are in this process.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import httpx

from mesh import Mesh, Money
from mesh.events.cart import CartLine
from mesh.events.order import OrderConfirmed
from mesh.runtime.up import Up
from mesh.topology.mesh_toml import Topology
from mesh.web.accounts import ACCOUNTS, Account
from mesh.web.sessions import Sessions
from services.demo.bench.memory import held
from services.demo.replay.report import percentiles

SETTINGS = {"CARTMESH_WEBHOOK_PRIVATE_ADDRESSES": "true", "CARTMESH_WEBHOOK_DEADLINE": "5s"}
TYPE = "order.confirmed.v1"
ENDPOINTS, RATE = 10, 20
"""How many webhooks get each event, one of which never answers, and how many events happen a second."""
MANY = 1_000
PATIENCE = 300.0
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Receiver(asyncio.Protocol):
    """The least an HTTP/1.1 server can do: notes when each request to a path is whole, and answers, or does not."""

    def __init__(self, arrived: list[tuple[bytes, float]]) -> None:
        self._arrived, self._read, self._transport = arrived, b"", None

    def connection_made(self, transport: Any) -> None:
        """Somebody connected."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end]
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            if len(self._read) < end + 4 + length:
                return
            body, self._read = self._read[end + 4 : end + 4 + length], self._read[end + 4 + length :]
            if head.startswith(b"POST /dead"):
                return
            order = body.partition(b'"subject":"')[2].partition(b'"')[0]
            self._arrived.append((order, datetime.now(UTC).timestamp()))
            self._transport.write(_OK)


async def webhooks(region: str, figures: dict[str, Any], share: int) -> dict[str, Any]:
    """Measure, in a region of its own, and add what is to be judged to `figures`. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    arrived: list[tuple[bytes, float]] = []
    server = await loop.create_server(lambda: Receiver(arrived), "127.0.0.1", 0, backlog=1024)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with _region(region) as (up, mesh, client):
            found = {"latency_ms": await _latency(mesh, client, url, arrived, share)}
            found["deliveries_per_second"] = await _rate(mesh, client, url, arrived, share)
            before = held(up, region)["webhooks"].pss
            await _many(mesh, client, url, arrived, share)
            after = held(up, region)["webhooks"].pss
            found["memory_mb"] = {"before": before, f"with {MANY // share:,} webhooks": after}
    finally:
        server.close()
    figures["webhooks"] = found
    figures["judged"] |= {
        "event to webhook's first attempt p99 ms, one of ten dead": found["latency_ms"]["p99"],
        "webhooks delivered a second": found["deliveries_per_second"],
    }
    return found


async def _latency(mesh: Mesh, client: httpx.AsyncClient, url: str, arrived: list[Any], share: int) -> Any:
    """From before an event is published until its request has arrived, at those who answer."""
    made = [await _create(client, f"{url}/{'dead' if at == 0 else at}") for at in range(ENDPOINTS)]
    seconds, run = max(3, 20 // share), token_hex(3)
    sent: dict[bytes, float] = {}
    begun = asyncio.get_running_loop().time()
    for number in range(seconds * RATE):
        order = f"{run}-{number}"
        sent[order.encode()] = datetime.now(UTC).timestamp()
        await mesh.publish(_order(order))
        await asyncio.sleep(max(0.0, begun + (number + 1) / RATE - asyncio.get_running_loop().time()))
    await _until(lambda: len(arrived) >= len(sent) * (ENDPOINTS - 1))
    await _delete(client, made)
    return percentiles([timedelta(seconds=at - sent[order]) for order, at in arrived if order in sent])


async def _rate(mesh: Mesh, client: httpx.AsyncClient, url: str, arrived: list[Any], share: int) -> float:
    """Deliveries a second from the first to the last, of events that were published at once, to five webhooks."""
    made = [await _create(client, f"{url}/{at}") for at in range(5)]
    arrived.clear()
    events = 2_000 // share
    for at in range(0, events, 100):
        await mesh.publish(*(_order(f"{token_hex(3)}-{number}") for number in range(at, at + 100)))
    await _until(lambda: len(arrived) >= events * len(made))
    times = [at for _, at in arrived]
    await _delete(client, made)
    return round(len(times) / (max(times) - min(times)), 1)


async def _many(mesh: Mesh, client: httpx.AsyncClient, url: str, arrived: list[Any], share: int) -> None:
    """Have an event delivered to a thousand webhooks, and the next ones, too."""
    made = [await _create(client, f"{url}/{at}") for at in range(MANY // share)]
    arrived.clear()
    for number in range(10):
        await mesh.publish(_order(f"{token_hex(3)}-{number}"))
    await _until(lambda: len(arrived) >= 10 * len(made))
    # What is measured next is with all of them.


async def _create(client: httpx.AsyncClient, url: str) -> str:
    made = await client.post("/webhooks/v1", json={"name": url, "url": url, "types": [TYPE]})
    made.raise_for_status()
    id_: str = made.json()["id"]
    return id_


async def _delete(client: httpx.AsyncClient, ids: list[str]) -> None:
    for one in ids:
        (await client.delete(f"/webhooks/v1/{one}")).raise_for_status()


async def _until(done: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not done():  # noqa: ASYNC110  what is counted is not ours
            await asyncio.sleep(0.05)


def _order(order_id: str) -> OrderConfirmed:
    price = Money(amount=1299, currency="EUR")
    lines = tuple(CartLine(product_id=f"sku-{at}", quantity=1, price=price, name="Green tea") for at in range(3))
    return OrderConfirmed(order_id=order_id, lines=lines, total=Money(amount=3897, currency="EUR"), visitor_id="v")


@asynccontextmanager
async def _region(region: str) -> AsyncIterator[tuple[Up, Mesh, httpx.AsyncClient]]:
    """A region of three servers with the service, its operator's mesh, and a publisher's client of the API."""
    async with Up(Topology.of((region,)), only=("webhooks",), companions=False, environment=SETTINGS) as up:
        mesh = await up.operator(region)
        account = Account(
            id="bench", email="bench@example.com", name="bench", roles=("publisher",), created=datetime.now(UTC)
        )
        await mesh.state(ACCOUNTS).put(account.id, account)
        token = await Sessions(mesh).create_token(account.id, name="bench", lasting=timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=up.urls[region]["webhooks"], headers=headers, timeout=30) as client:
            yield up, mesh, client
