"""Sync: what it costs to have every commit on the disks of a majority before it is acknowledged.

The same commits, a cart with its timer each, to a fresh region of three servers for each `sync_interval`: one after
another, and many at once. All three servers sync to one disk here, so that `always` costs more than on three machines.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import median, quantiles

import msgspec

from mesh.events.cart import CartIdle, CartLine, CartUpdated
from mesh.mesh import Mesh
from mesh.money import Money
from mesh.runtime.local_servers import LocalServers
from mesh.timers import Timer
from mesh.topology.access import OPERATOR
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.topology.server_settings import ALWAYS, ServerSettings

INTERVALS = ("2m", ALWAYS)
AT_ONCE = 64


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """Commits a second, and the time of one in ms."""

    rate: float
    p50: float
    p99: float


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What commits cost with a `sync_interval`: one after another, and `AT_ONCE` side by side."""

    alone: Committed
    together: Committed


async def sync_prices(region: str, *, commits: int, rounds: int = 3) -> dict[str, Price]:
    """The price of each interval: `commits` side by side, and a tenth of them one after another.

    Rounds of the intervals alternate, so that what else the machine does meets all of them.
    """
    async with AsyncExitStack() as stack:
        meshes = {interval: await _region(stack, region, interval) for interval in INTERVALS}
        alone, together = _taken(), _taken()
        numbers = count()
        for mesh in meshes.values():  # leaders are chosen, files are there
            await _commit(mesh, numbers, commits // 10, AT_ONCE, _Taken())
        for _ in range(rounds):
            for interval, mesh in meshes.items():
                await _commit(mesh, numbers, commits // 10 // rounds, 1, alone[interval])
                await _commit(mesh, numbers, commits // rounds, AT_ONCE, together[interval])
    return {one: Price(alone=alone[one].figures, together=together[one].figures) for one in INTERVALS}


@dataclass
class _Taken:
    """How long commits took, in seconds: each, and all from the first to the last."""

    each: list[float] = field(default_factory=list)
    all: float = 0.0

    @property
    def figures(self) -> Committed:
        """A rate and times in ms."""
        p99 = quantiles(self.each, n=100)[-1]
        return Committed(rate=len(self.each) / self.all, p50=1000 * median(self.each), p99=1000 * p99)


def _taken() -> dict[str, _Taken]:
    return {interval: _Taken() for interval in INTERVALS}


async def _region(stack: AsyncExitStack, region: str, interval: str) -> Mesh:
    topology = replace(Topology.of((region,)), servers=ServerSettings(sync_interval=interval))
    servers = await stack.enter_async_context(LocalServers(topology))
    mesh = await connect(servers.access, region, OPERATOR)
    stack.push_async_callback(mesh.broker.drain)
    return mesh


async def _commit(mesh: Mesh, numbers: Iterator[int], commits: int, at_once: int, taken: _Taken) -> None:
    left, began = iter(range(commits)), time.perf_counter()

    async def commit() -> None:
        for _ in left:
            started = time.perf_counter()
            await mesh.publish(*_cart(next(numbers)))
            taken.each.append(time.perf_counter() - started)

    await asyncio.gather(*(commit() for _ in range(at_once)))
    taken.all += time.perf_counter() - began


def _cart(number: int) -> tuple[CartUpdated, Timer]:
    cart_id = f"cart-{number}"
    line = CartLine(product_id="p1", quantity=1, price=Money(amount=4999, currency="EUR"), name="Headphones")
    updated = CartUpdated(cart_id=cart_id, visitor_id=f"buyer-{number}", lines=(line,))
    idle = CartIdle(cart_id=cart_id, update_id=f"update-{number}")
    return updated, Timer(idle, datetime.now(UTC) + timedelta(hours=6))
