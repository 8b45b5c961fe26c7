"""What of the stock lives in one region alone: units in its warehouses. No other region may sell them."""

from mesh import Mesh
from mesh.events.stock import StockLevelChanged
from mesh.operations.region_bound import newest


async def units(mesh: Mesh, region: str) -> str:
    """How many units lie in a region, or are borrowed by it, and how they get elsewhere."""
    levels = [
        level for level in (await newest(mesh, StockLevelChanged, region)).values() if level.on_hand or level.loan
    ]
    if not levels:
        return ""
    on_hand, reserved = sum(level.on_hand for level in levels), sum(level.reserved for level in levels)
    return (
        f"{on_hand:,} units of {len(levels):,} SKUs ({reserved:,} reserved): "
        f"adjust them out in {region}, then receive them where they go"
    )
