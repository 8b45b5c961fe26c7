"""Opening stock: the pieces that the shop begins with, received by the stock service over HTTP."""

import asyncio
import random
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from mesh.observability.logs import log
from services.demo.storefront.catalogue import Product

if TYPE_CHECKING:
    import httpx

WAREHOUSE = "shop"
LATER = frozenset({429, 500, 502, 503, 504})
"""Answers after which the same command is sent again: under its id it is applied once."""
SHORTEST, LONGEST = 0.1, 5.0
"""Seconds before a command is sent again."""


async def receive_stock(stock: "httpx.AsyncClient", key: str, listed: Sequence[Product]) -> int:
    """Have the pieces of every product received, once however often the shop is started; how many products were.

    A product whose pieces were received earlier, in another number, is left as it is.
    """
    received = 0
    for product in listed:
        answer = await _received(stock, key, product)
        if answer.is_success:
            received += 1
        elif answer.status_code != HTTPStatus.CONFLICT:
            log.error("the stock refuses what the shop begins with", status=answer.status_code, why=answer.text[:300])
    return received


async def _received(stock: "httpx.AsyncClient", key: str, product: Product) -> "httpx.Response":
    import httpx  # noqa: PLC0415  every process imports the service, only this one speaks HTTP

    sku = product.product_id
    command = {"id": f"opening-{sku}", "sku": sku, "warehouse": WAREHOUSE, "quantity": product.stock}
    wait = SHORTEST
    while True:
        try:
            answer = await stock.post("/v1/stock/receive", json=command, headers={"Authorization": f"Bearer {key}"})
        except httpx.TransportError:
            pass
        else:
            if answer.status_code not in LATER:
                return answer
        await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311  jitter, not a secret
        wait = min(2 * wait, LONGEST)
