"""Measured: how long a published journey takes to be decided with in its own region and in the others.

    python -m notifications.documents.measured SHARE

prints it as JSON; of a SHARE above 1 it is published that many times less often. Three regions of three linked servers
each run the studio. As `offers` does, a process follows the journeys of each region; a revision is in force where the
next decision would be made with it.
"""

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack

from mesh import Mesh
from mesh.observability.logs import configure_logs
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.runtime.waiting import until
from mesh.runtime.worker import chosen
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from notifications.documents.document import Document
from notifications.documents.following import following
from notifications.documents.publishing import publish
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS, files_of
from notifications.journeys.live import LiveJourneys
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES

REGIONS, PUBLISHED, WARM = ("us", "eu", "ap"), 50, 3
NAME = "abandoned-cart"


class Decider:
    """A process that decides in a region: when it began to use each revision."""

    def __init__(self) -> None:
        self.journeys = LiveJourneys()
        self.used: dict[int, float] = {}

    def use(self, document: Document) -> None:
        """Decide with a revision from now on."""
        self.journeys.use(document)
        if document.name == NAME:
            self.used[document.revision] = time.perf_counter()


async def measured(share: int, nodes: int = 3) -> dict[str, dict[str, float]]:
    """Milliseconds from the beginning of publishing until the new revision is decided with, by region."""
    async with AsyncExitStack() as stack:
        servers = LocalServers(Topology.of(REGIONS, nodes=nodes), services=chosen(["studio", "offers"]))
        await stack.enter_async_context(servers)

        async def mesh(region: str, service: str) -> Mesh:
            others = tuple(one for one in REGIONS if one != region)
            made = await connect(servers.access, region, service, others=others)
            stack.push_async_callback(made.broker.drain)
            return made

        deciders = {region: Decider() for region in REGIONS}
        studios = {region: await mesh(region, "studio") for region in REGIONS}
        for region, own in studios.items():
            for kind in (TEMPLATES, JOURNEYS):
                await seed(kind, "", own)
            await stack.enter_async_context(running(studio, own, http=("127.0.0.1", 0)))
            offers = await mesh(region, "offers")
            await stack.enter_async_context(following(JOURNEYS, deciders[region].use, offers))
        took: dict[str, list[float]] = {region: [] for region in REGIONS}
        for number in range(WARM + max(PUBLISHED // share, 3)):
            begun = time.perf_counter()
            files = files_of(f'template = "abandoned-cart"\ncap = {number + 1}\n')
            made = await publish(JOURNEYS, NAME, files, "bench", studios[REGIONS[0]])

            async def everywhere(revision: int = made.revision, cap: int = number + 1) -> bool:
                found = [one.journeys.get(NAME) for one in deciders.values()]
                return all(one and (one.revision, one.journey.cap) == (revision, cap) for one in found)

            await until(everywhere, f"revision {made.revision} in every region")
            for region, decider in deciders.items():
                took[region].append(1_000 * (decider.used[made.revision] - begun))
    first, *others = (took[region][WARM:] for region in REGIONS)
    return {"own region": _spread(first), "other regions": _spread([one for some in others for one in some])}


def _spread(took: list[float]) -> dict[str, float]:
    ordered = sorted(took)
    p99 = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
    return {"p50": round(ordered[len(ordered) // 2], 1), "p99": round(p99, 1), "max": round(ordered[-1], 1)}


if __name__ == "__main__":
    configure_logs(level="ERROR")
    print(json.dumps(asyncio.run(measured(int(sys.argv[1])))))
