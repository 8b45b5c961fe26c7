"""What of the stock is held back in a region that was rebuilt: units that it may have sold, until they are counted.

No unit is sold twice (P4): what was sold in the region's last moments may stand in no copy.
"""

from collections.abc import Sequence
from datetime import datetime

from mesh import Mesh, Unchanged, settings
from mesh.envelope import derive_id
from mesh.events.stock import StockCommandApplied, StockLevelChanged, WarehouseLevel
from mesh.operations.region_bound import newest
from services.stock import level as levels
from services.stock.stock_settings import StockSettings
from services.stock.working_copy import WorkingCopy
from services.stock.writer import StockWriter

_AT_ONCE = 100
"""SKUs of a commit."""


async def units(mesh: Mesh, lost_at: datetime) -> str:
    """Take off what can be sold, by a command for each SKU and warehouse; those that are reserved stay."""
    reason = f"not counted since {mesh.region} was lost at {lost_at:%Y-%m-%d %H:%M:%S} UTC"
    writer = StockWriter(mesh, settings.read(StockSettings))
    found = (await newest(mesh, StockLevelChanged, mesh.region)).values()
    skus = sorted(level.sku for level in found if level.available > 0)
    for at in range(0, len(skus), _AT_ONCE):
        await _take_off(writer, skus[at : at + _AT_ONCE], reason)
    taken = [
        one
        for one in (await newest(mesh, StockCommandApplied, mesh.region)).values()
        if one.reason == reason and one.change
    ]
    if not taken:
        return ""
    return (
        f"{-sum(one.change for one in taken):,} units of {len({one.sku for one in taken}):,} SKUs can be sold once "
        "they are counted: POST /v1/stock/count for each SKU and warehouse; borrowed ones are received where they lie"
    )


async def _take_off(writer: StockWriter, skus: Sequence[str], reason: str) -> None:
    async def taken(careful: bool) -> WorkingCopy:
        copy = WorkingCopy(await writer.levels(skus, careful=careful), {})
        for sku in skus:
            for place in copy.level(sku).warehouses:
                if place.available > 0:
                    _take(copy, sku, place, derive_id(reason, sku, place.warehouse), reason)
        return copy

    await writer.commit(taken, writer.cause("hold-back", *skus))


def _take(copy: WorkingCopy, sku: str, place: WarehouseLevel, command_id: str, reason: str) -> None:
    copy.change_level(levels.received(copy.level(sku), place.warehouse, -place.available, "adjusted", command_id))
    applied = StockCommandApplied(
        command_id=command_id,
        command="adjust",
        sku=sku,
        warehouse=place.warehouse,
        quantity=-place.available,
        change=-place.available,
        reason=reason,
    )
    copy.add(applied, Unchanged(StockCommandApplied, command_id, 0))
