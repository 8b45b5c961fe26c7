"""Sale: the mesh that a flash sale is held in, its goods, and the wait until every checkout has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import msgspec

from mesh import Mesh, Money
from mesh.errors import MeshError, Unavailable
from mesh.events.product import ProductListed
from mesh.runtime.up import Up
from mesh.topology.mesh_toml import Topology
from mesh.topology.stream_settings import own_family
from services.demo.bench.http_client import HttpClient, connected
from services.demo.flash_sale.buyers import Buyers
from services.demo.flash_sale.ledger import stuck
from services.demo.flash_sale.plan import CURRENCY, Plan, price, sku_name, units
from services.demo.flash_sale.records import Reader, Records

KEY = "flash-sale"
SERVICES = ("orders", "checkout", "stock", "payments", "fraud", "order-views", "copies")
STOCK_STREAM = own_family("stock", ["stock"], keep=timedelta(days=400))
SETTINGS = {"CARTMESH_SERVER_KEYS": KEY, "CARTMESH_FRAUD_FLAGGED": "undo"}
"""Nobody is there who would decide about a flagged order: it is undone."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A running mesh; by region clients of orders and stock, where order views are, and operators' connections."""

    up: Up
    views: Mapping[str, str]
    orders: Mapping[str, HttpClient]
    stock: Mapping[str, HttpClient]
    meshes: dict[str, Mesh]

    @property
    def books(self) -> Path:
        """The file of the provider's books."""
        return self.up.directory / "payment-provider" / "charges.jsonl"


@asynccontextmanager
async def opened(plan: Plan, directory: Path | None = None) -> AsyncIterator[Shop]:
    """A mesh with the services that orders need, and the sandbox provider."""
    topology = replace(Topology.of(plan.regions, nodes=plan.nodes), streams=(STOCK_STREAM,))
    async with AsyncExitStack() as stack:
        up = await stack.enter_async_context(Up(topology, directory=directory, environment=SETTINGS, only=SERVICES))

        async def clients(service: str) -> dict[str, HttpClient]:
            return {
                region: await stack.enter_async_context(connected(up.urls[region][service], KEY))
                for region in plan.regions
            }

        yield Shop(
            up=up,
            views={region: up.urls[region]["order-views"] for region in plan.regions},
            orders=await clients("orders"),
            stock=await clients("stock"),
            meshes={region: await up.operator(region) for region in plan.regions},
        )


async def fill(shop: Shop, plan: Plan) -> None:
    """List the products and receive their units. Raises MeshError where the stock does not take them."""
    for region, received in units(plan).items():
        listed = [
            ProductListed(product_id=sku_name(one), price=Money(amount=price(one), currency=CURRENCY))
            for one in range(plan.skus)
        ]
        await shop.meshes[region].publish(*listed)
        for sku, count in received.items():
            command = {"id": f"receive-{sku}", "sku": sku, "warehouse": "w1", "quantity": count}
            answer = await shop.stock[region].post("/v1/stock/receive", msgspec.json.encode(command))
            if answer.status != 200:
                raise MeshError(f"{region} does not receive {sku}: {answer.status} {answer.body.decode()[:300]}")


async def ended(reader: Reader, buyers: Buyers, patience: timedelta, report: Callable[[str], None]) -> Records:
    """The records once every checkout has ended and nothing more comes; or once nothing was new for so long."""
    clock = asyncio.get_running_loop().time
    changed, before = clock(), -1
    taken = {one.order_id for one in buyers.placed if one.order_id}
    while True:
        with suppress(Unavailable):
            records = await reader.read()
            count = sum(map(len, records.events.values()))
            left = len(stuck(taken, records))
            if not left and count == before:
                return records
            if count != before:
                changed, before = clock(), count
            report(f"{left} checkouts have not ended yet")
        if clock() > changed + patience.total_seconds():
            return reader.records
        await asyncio.sleep(1)
