"""What of the promotions lives in one region alone: codes whose home it is, and its parts of the budgets."""

from mesh import Mesh
from mesh.events.budget import BudgetChanged
from mesh.events.code import CodeChanged, CodePartUsed, CodesImported
from mesh.operations.region_bound import events_of, newest
from services.promotions.code_state import HELD


async def codes(mesh: Mesh, region: str) -> str:
    """How many codes can only be redeemed with a region: given out and not yet over, or imported and not given out."""
    states = (await newest(mesh, CodeChanged, region)).values()
    given = sum(one.state in ("free", HELD[0]) for one in states)
    used = await newest(mesh, CodePartUsed, region)
    parts = {}
    for origin in (mesh.region, *mesh.others):  # whoever imported a list stored all its parts
        async for part in events_of(mesh, CodesImported, origin):
            if part.region == region:
                parts[part.part_id] = len(part.codes) - (used[part.part_id].used if part.part_id in used else 0)
    left = sum(parts.values())
    if not given and not left:
        return ""
    return (
        f"{given:,} codes that people have and {left:,} of imported lists, which only {region} may redeem: wait until "
        "they are over, or give out others elsewhere"
    )


async def budgets(mesh: Mesh, region: str) -> str:
    """Which journeys have spent of a region's part: the parts of the others grow when it is taken out."""
    journeys = sorted(name for name, one in (await newest(mesh, BudgetChanged, region)).items() if one.committed)
    if not journeys:
        return ""
    return (
        f"{', '.join(journeys)} spent of {region}'s part of their budgets: what is left for the others is divided "
        "anew without it, so take what was spent off each budget first"
    )
