"""Confirming: the shop's server confirms the orders that its pages report, so that they count as revenue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from mesh import Received, Retry, settings
from mesh.events.order import OrderPlaced
from services.demo.storefront.catalogue import find, money
from services.demo.storefront.seeding import LATER, SeedSettings

if TYPE_CHECKING:
    import httpx


def is_genuine(placed: OrderPlaced) -> bool:
    """Whether the shop sells these products at these prices: a page may claim anything."""
    for line in placed.lines:
        sold = find(line.product_id)
        if sold is None or line.price.currency not in sold.price or money(sold, line.price.currency) != line.price:
            return False
    return placed.total.amount <= sum(line.price.amount * line.quantity for line in placed.lines)


class Confirming:
    """The shop's server before the gateway, with the first of its keys; without one nothing is confirmed."""

    def __init__(self, gateway: "httpx.AsyncClient", key: str | None) -> None:
        self._gateway, self._key = gateway, key

    async def confirm(self, received: Received[OrderPlaced]) -> None:
        """Confirm an order of this shop. Raises Retry while the gateway takes nothing."""
        import httpx  # noqa: PLC0415  every process imports the service, only this one speaks HTTP

        placed = received.event
        if self._key is None or placed.by != "page" or not is_genuine(placed):
            return
        order = {name: value for name, value in msgspec.to_builtins(placed).items() if name != "by"}
        head = {"id": f"confirmed-{placed.order_id}"[:128], "type": "order_confirmed", "time": received.stored}
        body = msgspec.json.encode({"events": [order | head]})
        try:
            answer = await self._gateway.post(
                "/v1/events", content=body, headers={"Authorization": f"Bearer {self._key}"}
            )
        except httpx.TransportError:
            raise Retry("the gateway cannot be reached") from None
        if answer.status_code in LATER:
            raise Retry("the gateway takes nothing now")


@asynccontextmanager
async def confirming() -> AsyncIterator[Confirming]:
    """With what the settings say of the gateway and the keys."""
    import httpx  # noqa: PLC0415  see above

    chosen = settings.read(SeedSettings)
    key = chosen.server_keys[0] if chosen.server_keys and chosen.url_gateway else None
    async with httpx.AsyncClient(base_url=chosen.url_gateway, timeout=20) as gateway:
        yield Confirming(gateway, key)
