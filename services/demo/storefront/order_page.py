"""Order page: an order's page, and `GET /orders/{order}/live`, which shows every change the moment it is stored."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import msgspec
from litestar import Request, Response, get
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from mesh import Retry
from mesh.errors import InvalidKey
from mesh.observability.logs import log
from mesh.subjects import token
from mesh.web.application import event_stream_response
from mesh.web.event_stream import Hub
from services.demo.storefront.catalogue import LANGUAGES
from services.demo.storefront.frame import Frame
from services.demo.storefront.order_client import OrderClient
from services.demo.storefront.order_words import OrderState

MOST_PAGES, MOST_PAGES_EACH = 1_000, 8
LAGS, PAUSE = 50, 0.1
"""How often a history is read again that lacks the change, and after how many seconds."""


class OrderPages:
    """The open pages of orders. One stream of the order views is followed for each order that has any."""

    def __init__(self, client: OrderClient, *, pause: float = 1.0) -> None:
        self.client, self._pause = client, pause
        self._following: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, OrderState] = {}
        self.pages: Hub[OrderState] = Hub(queued=16)

    def stream(self, order_id: str, language: str) -> AsyncIterator[bytes]:
        """The bytes of one page's event stream: the order as it is, and then each change."""

        def first() -> Iterable[OrderState]:
            if order_id not in self._following:
                task = self._following[order_id] = asyncio.create_task(self._follow(order_id))
                task.add_done_callback(lambda _: self._forget(order_id))
            return (self._known[order_id],) if order_id in self._known else ()

        return self.pages.stream(order_id, lambda state: state.encode(language), first=first)

    def close(self) -> None:
        """End every page's stream; browsers come back to another process."""
        self.pages.close()
        for task in self._following.values():
            task.cancel()

    async def _follow(self, order_id: str) -> None:
        while self.pages.subscribers(order_id):
            try:
                async for sequence in self.client.changes(order_id):
                    if not self.pages.subscribers(order_id):
                        return
                    if sequence is not None and (state := await self._read(order_id, sequence)):
                        self._known[order_id] = state
                        self.pages.publish(order_id, state)
            except Retry as error:
                log.warning("an order's changes are not followed", error=str(error))
            await asyncio.sleep(self._pause)

    async def _read(self, order_id: str, sequence: int) -> OrderState | None:
        """The order with its events as of a place in the stream; what lags behind is read again."""
        for _ in range(LAGS):
            found = await self.client.history(order_id)
            if found and found["order"]["sequence"] >= sequence:
                return msgspec.convert(found, OrderState)
            await asyncio.sleep(PAUSE)
        return None

    def _forget(self, order_id: str) -> None:
        del self._following[order_id]
        self._known.pop(order_id, None)


def serve_order(frame: Frame, orders: OrderPages) -> list[HTTPRouteHandler]:
    """The routes. Whoever knows an order's id, which cannot be guessed, may look at it."""

    @get([f"/{language}/orders/{{order_id:str}}" for language in LANGUAGES])
    async def show_order(request: Request, order_id: FromPath[str]) -> Response[bytes]:
        try:
            known = await orders.client.history(token(order_id, "order_id"))
        except InvalidKey:
            raise NotFoundException from None
        except Retry:
            known = {}  # the page follows the order as soon as it is answered
        if known is None:
            raise NotFoundException
        return frame.show(request, "order", order_id=order_id)

    @get("/orders/{order_id:str}/live")
    async def follow_order(order_id: FromPath[str], lang: FromQuery[str] = "en") -> Stream:
        """Server-sent events `order`: what the page shows, in its language."""
        token(order_id, "order_id")
        if orders.pages.open >= MOST_PAGES or orders.pages.subscribers(order_id) >= MOST_PAGES_EACH:
            raise HTTPException("too many pages are open", status_code=429, headers={"Retry-After": "30"})
        return event_stream_response(orders.stream(order_id, lang[:2].lower()))

    return [show_order, follow_order]
