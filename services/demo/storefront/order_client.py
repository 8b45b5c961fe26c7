"""Order client: the shop's server before the interfaces of orders, which it calls with the first of its secret keys."""

import hmac
from base64 import b32encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from mesh import Retry, settings
from services.demo.storefront.seeding import LATER, SeedSettings

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class OrderRefused:
    """The shop does not take an order, and why."""

    reason: str


@dataclass(frozen=True)
class OrderTaken:
    """The order that was taken."""

    order_id: str


class OrderClient:
    """Places orders and reads them; `has_key`: without a secret key the shop takes none."""

    def __init__(self, orders: "httpx.AsyncClient", views: "httpx.AsyncClient", key: str | None) -> None:
        self._orders, self._views, self._key = orders, views, key or ""
        self._headers = {"Authorization": f"Bearer {key}"}
        self.has_key = key is not None

    def reference_of(self, checkout: str) -> str:
        """The shop's own number of the order of a checkout: the same for the same one, and nobody can choose it."""
        return f"HL-{b32encode(self._digest('reference', checkout))[:10].decode()}"

    async def place(self, checkout: str, order: Mapping[str, Any]) -> OrderTaken | OrderRefused:
        """Place the order of a checkout, once however often it is sent.

        Sent again with other contents, as after an answer that was lost, it is the order that was taken first. Raises
        Retry while orders are not answered.
        """
        key = {"Idempotency-Key": self._digest("checkout", checkout).hex()}
        answer = await self._call(self._orders, "POST", "/v1/orders", content=msgspec.json.encode(order), headers=key)
        if answer.status_code == HTTPStatus.CONFLICT:
            return await self._known(self.reference_of(checkout), answer)
        if not answer.is_success:
            return OrderRefused(answer.json()["detail"])
        return OrderTaken(answer.json()["order"]["order_id"])

    async def history(self, order_id: str) -> dict[str, Any] | None:
        """An order and its events, oldest first; None where there is none. Raises Retry."""
        answer = await self._call(self._orders, "GET", f"/v1/orders/{order_id}/history")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if not answer.is_success:
            raise Retry(f"orders answer {answer.status_code}")
        found: dict[str, Any] = answer.json()
        return found

    async def changes(self, order_id: str) -> AsyncIterator[int | None]:
        """The place in the stream of an order as it is and after each change; None for each sign of life between.

        Raises Retry where the order's changes cannot be followed, also when the stream breaks off.
        """
        import httpx  # noqa: PLC0415  every process imports the service, only this one speaks HTTP

        try:
            async with self._views.stream(
                "GET", f"/v1/orders/{order_id}/live", headers=self._headers, timeout=httpx.Timeout(20, read=60)
            ) as answer:
                if not answer.is_success:
                    raise Retry(f"the views of orders answer {answer.status_code}")
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        yield msgspec.json.decode(line.removeprefix("data: "))["sequence"]
                    elif line.startswith(":"):
                        yield None
        except httpx.TransportError:
            raise Retry("the views of orders cannot be reached") from None

    async def _known(self, reference: str, conflict: "httpx.Response") -> OrderTaken | OrderRefused:
        found = await self._call(self._views, "GET", "/v1/orders", params={"reference": reference})
        listed = found.json()["orders"] if found.is_success else []
        if not listed:
            raise Retry(f"the order cannot be found yet: {conflict.json()['detail']}")
        return OrderTaken(listed[0]["order_id"])

    async def _call(
        self, client: "httpx.AsyncClient", method: str, path: str, *, headers: Mapping[str, str] = {}, **more: Any
    ) -> "httpx.Response":
        import httpx  # noqa: PLC0415  see above

        try:
            answer = await client.request(method, path, headers={**self._headers, **headers}, **more)
        except httpx.TransportError:
            raise Retry("orders cannot be reached") from None
        if answer.status_code in LATER:
            raise Retry("orders are not answered now")
        return answer

    def _digest(self, what: str, checkout: str) -> bytes:
        return hmac.digest(self._key.encode(), f"{what} {checkout}".encode(), sha256)


@asynccontextmanager
async def open_order_client() -> AsyncIterator[OrderClient]:
    """With what the settings say of the interfaces and the keys."""
    import httpx  # noqa: PLC0415  see above

    chosen = settings.read(SeedSettings)
    key = chosen.server_keys[0] if chosen.server_keys and chosen.url_orders else None
    pages = httpx.Limits(max_connections=None, max_keepalive_connections=32)
    async with (
        httpx.AsyncClient(base_url=chosen.url_orders, timeout=20) as orders,
        httpx.AsyncClient(base_url=chosen.url_order_views, timeout=20, limits=pages) as views,
    ):
        yield OrderClient(orders, views, key)
