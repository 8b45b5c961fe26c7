"""Latencies: a cart's due time to the mail server, an event to its shopper's score; with timers pending."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from secrets import token_hex
from typing import Any

from mesh import Mesh, Timer
from mesh.errors import Unavailable
from mesh.events.cart import CartIdle
from services.demo.bench.http_client import HttpClient
from services.demo.bench.load import carts, introductions, send_all, views
from services.demo.replay.collector import Collector
from services.demo.replay.environment import Environment
from services.demo.replay.offers import abandonments
from services.demo.replay.report import percentiles, report

WAVE = 400
"""Timers per commit."""


async def pend(mesh: Mesh, count: int) -> None:
    """Have `count` more timers wait in a region, due in some hours."""
    at, run = datetime.now(UTC) + timedelta(hours=6), token_hex(4)
    ids = (f"pending-{run}-{number}" for number in range(count))
    while wave := list(islice(ids, WAVE)):
        await mesh.publish(*(Timer(CartIdle(cart_id=one, update_id="none"), at) for one in wave))


@dataclass(frozen=True)
class Probe:
    """Sends probes to a region and times what follows from them."""

    environment: Environment
    http: HttpClient
    region: str

    @property
    def mesh(self) -> Mesh:
        """The region's mesh, as operator."""
        return self.environment.meshes[self.region]

    async def offers(self, *, probes: int, rate: float) -> dict[str, Any]:
        """Leave `probes` carts, `rate` a second, and time their mails. Figures in ms; `missing` had no mail in time."""
        collector = await Collector.begin(
            self.environment.meshes, self.environment.record, nodes=self.environment.nodes
        )
        run = token_hex(3)
        await send_all(self.http, introductions(probes, run=run), at_once=4)
        for payload in carts(probes, run=run):
            payload["time"] = datetime.now(UTC).isoformat()
            await send_all(self.http, iter([payload]), batch=1, at_once=1)
            await asyncio.sleep(1 / rate)
        deadline = asyncio.get_running_loop().time() + 30
        found: list[timedelta] = []
        while len(found) < probes and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.5)
            with suppress(Unavailable):
                found = [
                    took for one in abandonments(await collector.collect()) if (took := one.due_to_smtp) is not None
                ]
        return {**percentiles(found), "max": _most(found), "probes": probes, "missing": probes - len(found)}

    async def scores(self, *, seconds: float, rate: float) -> dict[str, Any]:
        """Send views at `rate` a second and time the scores that follow. Figures in ms."""
        collector = await Collector.begin(
            self.environment.meshes, self.environment.record, nodes=self.environment.nodes
        )
        wanted = int(seconds * rate)
        clock = asyncio.get_running_loop().time
        began, at, sending = clock(), 0, set()
        source = views(wanted, visitors=200)
        while part := list(islice(source, 10)):
            await asyncio.sleep(max(0.0, began + at / rate - clock()))
            for payload in part:
                payload["time"] = datetime.now(UTC).isoformat()
            sending.add(asyncio.create_task(send_all(self.http, iter(part), at_once=1)))
            at += len(part)
        await asyncio.gather(*sending)
        took = clock() - began
        await asyncio.sleep(2)
        found = report(await collector.collect())["latency_ms"]["event_to_score"]
        return {**found, "events": wanted, "rate": round(wanted / took)}

    async def _collector(self) -> Collector:
        return await Collector.begin(self.environment.meshes, self.environment.record, nodes=self.environment.nodes)


def _most(found: list[timedelta]) -> float | None:
    return round(max(found).total_seconds() * 1000, 1) if found else None
