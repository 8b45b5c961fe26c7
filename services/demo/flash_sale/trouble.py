"""Trouble: kills a service or a stream's leader, or cuts a region off, again and again while a sale goes on."""

import asyncio
import random
from dataclasses import dataclass, field

from mesh.runtime.up import Up
from mesh.topology.jetstream_api import api
from services.demo.flash_sale.plan import Plan

BACK_WITHIN = 180.0
"""Seconds in which a killed process must be ready again."""
PAUSE = (1.0, 4.0)
CUT = (2.0, 8.0)
"""Seconds between two troubles, and how long a region is cut off: any between these."""
STREAMS = ("COMMERCE", "STOCK")


@dataclass
class Trouble:
    """Makes one trouble after the other, each chosen by the seed; `done` is what was done, in words."""

    up: Up
    plan: Plan
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.plan.seed)  # noqa: S311  a plan, not a secret

    async def until(self, over: asyncio.Event) -> None:
        """At least one, until the sale is over. Returns when everything runs and every link is whole again."""
        if self.plan.chaos == "none":
            return
        while not (self.done and over.is_set()):
            await asyncio.sleep(self._chance.uniform(*PAUSE))
            region = self._chance.choice(self.plan.regions)
            await (self._cut(region) if self.plan.chaos == "cut" else self._kill(region))

    async def _kill(self, region: str) -> None:
        services = sorted(name for where, name in self.up.children if where == region)
        chosen = self._chance.choice((*services, *STREAMS))
        if chosen in STREAMS:
            await self._kill_leader(region, chosen)
            return
        child = self.up.children[region, chosen]
        self.done.append(f"killed the services of {child.name}")
        await child.kill()
        await asyncio.wait_for(child.ready.wait(), BACK_WITHIN)

    async def _kill_leader(self, region: str, stream: str) -> None:
        """The server that leads a stream; the region's only one where it has no others."""
        info = await api(await self.up.servers.operator(region), f"STREAM.INFO.{stream}_{region}")
        leader = info.get("cluster", {}).get("leader") or f"{region}-1"
        self.done.append(f"killed the server {leader}, which led {stream}_{region}")
        number = int(leader.rpartition("-")[2])
        await self.up.servers.kill_node(region, number)
        await asyncio.sleep(self._chance.uniform(*PAUSE))
        await self.up.servers.start_node(region, number)

    async def _cut(self, region: str) -> None:
        self.done.append(f"cut {region} off")
        self.up.servers.cut(region)
        try:
            await asyncio.sleep(self._chance.uniform(*CUT))
        finally:
            await self.up.servers.heal(region)
