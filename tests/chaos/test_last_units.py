"""Many buyers for the last ten units on real servers, while the services that sell them are killed (promise P4).

Run as a script this file is one process of the stock service: `python <this file> SERVERS REGION`.
"""

import asyncio
import os
import random
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pytest

from mesh import Mesh
from mesh.events.stock import (
    StockLevelChanged,
    StockLine,
    StockReservationChanged,
    StockReservationRequested,
    StockSaleRequested,
)
from mesh.observability.logs import configure_logs
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.runtime.worker import chosen
from mesh.topology.access import Access
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from services import stock
from services.operations import copies
from services.stock.audit import AUDITED, StockAudit, in_flight, loans_between
from services.stock.auditor import Auditor
from services.stock.commands import StockCommand, apply
from services.stock.stock_settings import StockSettings
from services.stock.writer import StockWriter

SKU, UNITS = "hot", 10


def topology(*regions: str) -> Topology:
    """Regions of one server each, with the streams of `mesh.toml`."""
    return replace(Topology.of(regions, nodes=1), streams=Topology.load("mesh.toml").streams)


async def work(servers: Path, region: str) -> None:
    """Run the stock service of a region until killed."""
    configure_logs()  # on stderr: only `ready` stands on stdout
    mesh = await opened(servers, region, "stock")
    async with running(stock.service, mesh):
        print("ready", flush=True)
        await asyncio.Event().wait()


async def opened(servers: Path, region: str, user: str) -> Mesh:
    """A service's connection to a region of the mesh in a servers.json."""
    access = Access.read(servers)
    others = tuple(name for name in access.regions if name != region)
    return await connect(access, region, user, others=others)


@dataclass
class Seller:
    """A process of the stock service, which is started again after it was killed."""

    servers: Path
    region: str
    process: asyncio.subprocess.Process | None = field(default=None, init=False)

    async def start(self) -> None:
        """Start it, and wait until it works."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, str(self.servers), self.region),
            env=os.environ | {"CARTMESH_STOCK_LOAN_PATIENCE": "120s"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await asyncio.wait_for(self.process.stdout.readline(), 120) == b"ready\n"

    async def kill(self) -> None:
        """End it, as a power failure would. Harmless where it does not run."""
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class Race:
    """Buyers of one SKU in several regions."""

    def __init__(self, servers: LocalServers, meshes: dict[str, Mesh], eventually) -> None:
        self.servers, self.meshes, self._eventually = servers, meshes, eventually

    async def fill(self, region: str, quantity: int, access: Path) -> None:
        """A merchant receives units."""
        mesh = await opened(access, region, "stock")
        given = StockCommand(id="first", sku=SKU, warehouse="w1", quantity=quantity)
        await apply(StockWriter(mesh, StockSettings()), "receive", given)
        await mesh.broker.drain()

    async def ask(self, region: str, start: int, end: int) -> None:
        """Buyers ask for one unit each, side by side."""
        until = datetime.now(UTC) + timedelta(hours=1)
        lines = (StockLine(sku=SKU, quantity=1),)
        places = asyncio.Semaphore(100)

        async def buy(number: int) -> None:
            async with places:
                order_id = f"{region}-{number}"
                await self.meshes[region].publish(
                    StockReservationRequested(order_id=order_id, lines=lines, until=until)
                )

        await asyncio.gather(*(buy(number) for number in range(start, end)))

    async def outcomes(self, region: str, buyers: int) -> dict[str, str]:
        """What became of each order of a region, once there is an answer to each."""

        async def answered() -> dict[str, str]:
            keys = [f"{region}-{number}" for number in range(buyers)]
            found = await self.meshes[region].last_of_each(StockReservationChanged, keys)
            return {key: one.event.outcome for key, one in found.items()} if len(found) == buyers else {}

        return await self._eventually(answered, within=300)

    async def sell(self, region: str, orders: list[str]) -> None:
        """Checkouts sell what is reserved."""
        mesh = self.meshes[region]
        await asyncio.gather(*(mesh.publish(StockSaleRequested(order_id=order_id)) for order_id in orders))

        async def sold() -> bool:
            found = await mesh.last_of_each(StockReservationChanged, orders)
            return all(found[order_id].event.outcome == "sold" for order_id in orders)

        await self._eventually(sold, within=300)

    async def audits(self) -> list[StockAudit]:
        """Each region's stock as its log adds up from nothing."""
        made = []
        for region, mesh in self.meshes.items():
            audit = StockAudit(region)
            async for received in mesh.read(*AUDITED):
                audit.apply(received)
            made.append(audit)
        return made


@asynccontextmanager
async def race(tmp_path, eventually, *regions: str):
    """Servers of these regions, and whoever asks there."""
    async with AsyncExitStack() as stack:
        services = chosen(["stock", "checkout", "copies"])
        servers = await stack.enter_async_context(LocalServers(topology(*regions), tmp_path, services))
        meshes = {}
        for region in regions:
            mesh = await connect(servers.access, region, "checkout")
            stack.push_async_callback(mesh.broker.drain)
            meshes[region] = mesh
        yield Race(servers, meshes, eventually)


def sold_exactly(audits: list[StockAudit], units: int) -> None:
    """No level contradicts what happened, nothing is under way, and so many units were sold over all regions."""
    assert [sentence for audit in audits for sentence in audit.violations()] == []
    assert (list(loans_between(audits)), {sku: n for sku, n in in_flight(audits).items() if n}) == ([], {})
    totals = [audit.accounts[SKU].total for audit in audits if SKU in audit.accounts]
    assert sum(one.sold for one in totals) == units == sum(one.received for one in totals)


async def test_two_hundred_buyers_of_the_last_ten(tmp_path, eventually):
    """Ten of them buy one each, whoever of two processes decides, and one of the processes is killed meanwhile."""
    servers = tmp_path / "servers.json"
    async with race(tmp_path, eventually, "us") as buyers:
        await buyers.fill("us", UNITS, servers)
        sellers = [Seller(servers, "us"), Seller(servers, "us")]
        try:
            await asyncio.gather(*(seller.start() for seller in sellers))
            await buyers.ask("us", 0, 100)
            await sellers[0].kill()
            await buyers.ask("us", 100, 200)
            outcomes = await buyers.outcomes("us", 200)
            await buyers.sell("us", [order_id for order_id, outcome in outcomes.items() if outcome == "reserved"])
        finally:
            await sellers[0].kill()
            await sellers[1].kill()

        assert sorted(outcomes.values()) == 190 * ["refused"] + 10 * ["reserved"]
        sold_exactly(await buyers.audits(), UNITS)
        shown = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "mesh.cli", "stock", "audit", "--servers", str(servers)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (shown.returncode, shown.stdout.splitlines()[-1]) == (
            0,
            "Every unit is accounted for: none was reserved or sold twice.",
        ), shown.stderr


@pytest.mark.drill
async def test_ten_thousand_buyers_in_all_regions(tmp_path, eventually):
    """Three regions with four, three and three units: exactly ten are sold, though every seller is killed again."""
    servers, regions, each = tmp_path / "servers.json", ("us", "eu", "ap"), 3334
    async with race(tmp_path, eventually, *regions) as buyers:
        for region, quantity in zip(regions, (4, 3, 3), strict=True):
            await buyers.fill(region, quantity, servers)
        sellers = [Seller(servers, region) for region in regions]
        try:
            await asyncio.gather(*(seller.start() for seller in sellers))
            began = perf_counter()
            asking = asyncio.gather(*(buyers.ask(region, 0, each) for region in regions))
            for _ in range(6):
                seller = random.choice(sellers)
                await seller.kill()
                await seller.start()
            await asking
            outcomes = {region: await buyers.outcomes(region, each) for region in regions}
            taken = perf_counter() - began
            for region, found in outcomes.items():
                await buyers.sell(region, [order_id for order_id, outcome in found.items() if outcome == "reserved"])
        finally:
            for seller in sellers:
                await seller.kill()

        audits = await buyers.audits()
        print(f"{3 * each} buyers answered in {taken:.1f} s; sold: {[a.accounts[SKU].total.sold for a in audits]}")
        sold_exactly(audits, UNITS)


@pytest.mark.drill
async def test_units_are_lent_while_links_and_sellers_fail(tmp_path, eventually):
    """A region without stock sells another's ten units: the link is cut, and both sellers are killed, in between."""
    access = tmp_path / "servers.json"
    async with race(tmp_path, eventually, "us", "eu") as buyers:
        await buyers.fill("eu", UNITS, access)
        await until_copied(buyers, eventually)
        sellers = [Seller(access, "us"), Seller(access, "eu")]
        async with AsyncExitStack() as stack:
            for seller in sellers:
                stack.push_async_callback(seller.kill)
                await seller.start()
            for region in ("us", "eu"):
                mesh = await opened(access, region, "copies")
                stack.push_async_callback(mesh.broker.drain)
                await stack.enter_async_context(running(copies.service, mesh))
            for part in range(5):
                asking = asyncio.create_task(buyers.ask("us", 2 * part, 2 * part + 2))
                await asyncio.sleep(random.uniform(0, 0.1))
                buyers.servers.cut("eu")
                await sellers[part % 2].kill()
                await asking
                await sellers[part % 2].start()
                await buyers.servers.heal("eu")
            outcomes = await buyers.outcomes("us", UNITS)
            await buyers.sell("us", list(outcomes))
            for region in ("us", "eu"):
                mesh = await opened(access, region, "stock")
                stack.push_async_callback(mesh.broker.drain)
                assert await Auditor(mesh).look() == ()

        audits = await buyers.audits()
        assert set(outcomes.values()) == {"reserved"}
        assert audits[0].accounts[SKU].total.borrowed == UNITS
        sold_exactly(audits, UNITS)


async def until_copied(buyers: Race, eventually) -> None:
    """Until `us` knows of the units in `eu`."""

    async def known() -> bool:
        return bool(await buyers.meshes["us"].last_of_each(StockLevelChanged, [SKU], region="eu"))

    await eventually(known, within=120)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))
