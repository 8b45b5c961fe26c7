"""Stock left: how many pieces of a product can still be bought, for its page."""

import asyncio

from mesh import Mesh
from mesh.errors import MeshError
from mesh.events.stock import StockLevelChanged
from mesh.observability.logs import log

FEW = 5
"""So many pieces or fewer are counted on the page."""


async def pieces_left(mesh: Mesh, product_id: str) -> int | None:
    """Units that this region and those that lend to it can sell; None where no stock is known, or cannot be read now.

    It is what stock says at this moment: an order may still come too late, and is then cancelled with that reason.
    """
    regions = (mesh.region, *mesh.others)
    try:
        levels = await asyncio.gather(*(mesh.last(StockLevelChanged, product_id, region=one) for one in regions))
    except MeshError as error:
        log.warning("the stock cannot be read just now", product_id=product_id, error=str(error))
        return None
    known = [one.event.available for one in levels if one]
    return sum(known) if known else None
