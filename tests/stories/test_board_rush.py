"""What the board costs in a rush, and how soon one that starts in the middle of it knows the hour."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import perf_counter

import httpx
import pytest

from mesh import Mesh, Received
from mesh.broker.jetstream import JetStreamBroker
from mesh.events.cart import CartLine, CartUpdated
from mesh.money import Money
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.mesh_toml import Topology
from services.operations import board
from services.operations.board.board import Board

EVENTS, AT_ONCE = 200_000, 500
LINES = tuple(
    CartLine(product_id=f"p{at}", quantity=1, price=Money(amount=1299, currency="EUR"), name="Tea tin", category="tea")
    for at in range(3)
)


def filled(number):
    """Every cart is filled four times."""
    return CartUpdated(cart_id=f"c{number // 4}", visitor_id=f"v{number // 4}", lines=LINES)


@asynccontextmanager
async def connect_as(servers, name):
    login = servers.credentials("us", name)
    broker = await JetStreamBroker.connect(
        "us", login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
    )
    try:
        yield Mesh(broker, name)
    finally:
        await broker.drain()


def fold_all(mesh):
    """Microseconds that one event takes to be folded."""
    shown, now = Board(mesh), datetime.now(UTC)
    took = 0.0
    for number in range(EVENTS):
        received = Received(
            event=filled(number), id=f"e{number}", time=now, stored=now, region="us", sequence=number, subject=""
        )
        began = perf_counter()
        shown.add(received)
        took += perf_counter() - began
    return took / EVENTS * 1e6


async def until_ready(client, address, headers, unready):
    """What the board says it cannot see while it reads, until it is ready."""
    said = set()
    while unready():
        said |= set((await client.get(f"{address}/board/state", headers=headers)).json()["unknown"])
        await asyncio.sleep(0.1)
    return said


@pytest.mark.drill
@pytest.mark.timeout(600)
async def test_a_board_that_starts_in_a_rush_knows_the_hour_soon(signed_in):
    """With 200,000 events within the hour it is ready in seconds, says until then that it catches up, and is right."""
    async with LocalServers(Topology.of(["us"], nodes=1), services=[board.service]) as servers:
        async with connect_as(servers, "operator") as operator:
            headers = await signed_in(operator)
            print(f"folding: {fold_all(operator):.1f} µs an event")
            for first in range(0, EVENTS, AT_ONCE):
                await operator.publish(*(filled(number) for number in range(first, first + AT_ONCE)))
        async with connect_as(servers, "board") as mesh, httpx.AsyncClient(timeout=30) as client:
            began = perf_counter()
            async with running(board.service, mesh, http=("127.0.0.1", 0)) as run:
                address = f"http://127.0.0.1:{run.port}"
                said = await until_ready(client, address, headers, run.unready)
                took = perf_counter() - began
                carted = (await client.get(f"{address}/board/state", headers=headers)).json()["funnel"][1]

    print(f"replay: {EVENTS:,} events in {took:.1f} s, {EVENTS / took:,.0f}/s; meanwhile it said {sorted(said)[:1]}")
    assert any(words.startswith("catching up") for words in said)
    assert carted["count"] == EVENTS // 4
