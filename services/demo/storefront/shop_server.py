"""Shop server: what the shop reports to its region's gateway with the first of its secret keys, over HTTP."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from mesh import Retry, settings
from services.demo.storefront.seeding import LATER, SeedSettings

if TYPE_CHECKING:
    import httpx


class ShopServer:
    """The shop before the gateway; `has_key`: without a key nothing is reported."""

    def __init__(self, gateway: "httpx.AsyncClient", key: str | None) -> None:
        self._gateway, self._key = gateway, key
        self.has_key = key is not None

    async def report(self, event: Mapping[str, Any]) -> bool:
        """Report one event; whether the gateway took it. Raises Retry while the gateway takes nothing."""
        import httpx  # noqa: PLC0415  every process imports the service, only this one speaks HTTP

        body = msgspec.json.encode({"events": [event]})
        try:
            answer = await self._gateway.post(
                "/v1/events", content=body, headers={"Authorization": f"Bearer {self._key}"}
            )
        except httpx.TransportError:
            raise Retry("the gateway cannot be reached") from None
        if answer.status_code in LATER:
            raise Retry("the gateway takes nothing now")
        return answer.is_success


@asynccontextmanager
async def open_server() -> AsyncIterator[ShopServer]:
    """With what the settings say of the gateway and the keys."""
    import httpx  # noqa: PLC0415  see above

    chosen = settings.read(SeedSettings)
    key = chosen.server_keys[0] if chosen.server_keys and chosen.url_gateway else None
    async with httpx.AsyncClient(base_url=chosen.url_gateway, timeout=20) as gateway:
        yield ShopServer(gateway, key)
