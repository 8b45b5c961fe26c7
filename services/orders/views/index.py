"""Index: what a process of the read side knows of all orders, in memory, and who follows their changes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import msgspec

from mesh import Bucket, Mesh
from mesh.errors import MeshError
from mesh.observability.logs import log
from mesh.web.event_stream import Hub, server_sent_event
from services.orders.fold import KINDS, OrderView, fold, public

EVERYTHING = "*"
"""The topic of all orders; no order is called so."""
QUEUED = 1000


class ViewSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How orders are shown.

    A process keeps the `order_views_kept` newest in memory for lists and searches. Whoever asks for what was just
    written (`?after=`) waits for it at most `order_views_patience`. `order_views_pages` may follow changes at once.
    """

    order_views_kept: int = 200_000
    order_views_patience: timedelta = timedelta(seconds=5)
    order_views_pages: int = 1000


class OrderIndex:
    """Follows the bucket of orders: newest state of each by id and by customer, and open pages."""

    def __init__(self, mesh: Mesh, bucket: Bucket[OrderView], chosen: ViewSettings) -> None:
        self.settings = chosen
        self._mesh, self._bucket = mesh, bucket
        self._state = mesh.state(bucket)
        self._orders: dict[str, OrderView] = {}
        self._by_customer: dict[str, set[str]] = {}
        self._suspects: set[str] = set()
        self._changed = asyncio.Condition()
        self._filled = False
        self.sequence = 0
        """The newest place in the stream that some order here reflects."""
        self.pages: Hub[OrderView] = Hub(queued=QUEUED)

    async def follow(self) -> None:
        """Keep the index as the bucket is, until cancelled. Losing the servers pauses it."""
        while True:
            try:
                async with self._state.watch() as entries:
                    async for entry in entries:
                        await self._apply(entry)
            except MeshError as error:
                log.warning("orders are not followed", error=str(error))
            await asyncio.sleep(1)

    async def order(self, order_id: str, *, after: int = 0) -> OrderView | None:
        """An order as it is, at least as of a place in the stream; None where there is none, or it is not there yet.

        What the bucket does not have, as while it is rebuilt, is folded from the order's events.
        """

        async def read() -> OrderView | None:
            found = await self._state.get(order_id)
            if found is None or found.sequence < after:
                found = fold(order_id, await self._mesh.history(order_id, *KINDS))
            return found if found.created_at and found.sequence >= after else None

        if (order := await read()) is not None or not after:
            return order
        await self._until(lambda: order_id in self._orders and self._orders[order_id].sequence >= after)
        return await read()

    async def of_customer(self, customer_id: str, *, after: int = 0) -> list[OrderView] | None:
        """A customer's orders, newest first; None where they do not reflect a place in the stream in time."""

        def reflects() -> bool:
            return any(self._orders[one].sequence >= after for one in self._by_customer.get(customer_id, ()))

        if after and not await self._until(reflects):
            return None
        return _newest_first([self._orders[one] for one in self._by_customer.get(customer_id, ())])

    def search(self, matches: Callable[[OrderView], bool], most: int) -> list[OrderView]:
        """The newest orders that match, at most so many."""
        return _newest_first([order for order in self._orders.values() if matches(order)])[:most]

    async def behind(self) -> int:
        """How many events are stored that orders do not reflect yet. Raises Unavailable."""
        states = await self._mesh.broker.consumer_states(self._mesh.commerce, ["order-views-keep-orders"])
        return sum(state.pending + state.ack_pending for state in states.values())

    async def compare(self) -> None:
        """Forget the orders that the bucket has not had for two comparisons, as after a rebuild."""
        if not self._filled or await self.behind():
            return
        present = {key async for key, _ in self._state.items()}
        missing = set(self._orders) - present
        for order_id in missing & self._suspects:
            self._forget(order_id)
        self._suspects = missing

    def stream(self, topic: str, order: OrderView | None = None) -> AsyncIterator[bytes]:
        """The bytes of an event stream: the order as it is now, and then each change."""
        return self.pages.stream(topic, _event, first=lambda: (order,) if order else ())

    def unready(self) -> str | None:
        """Why lists are not whole yet."""
        return None if self._filled else "orders are still being read"

    def close(self) -> None:
        """End every page's stream."""
        self.pages.close()

    async def _apply(self, entry: tuple[str, OrderView | None] | None) -> None:
        if entry is None:
            self._filled = True
        elif entry[1] is None:
            self._forget(entry[0])
        elif entry[1].created_at is not None:
            self._keep(entry[1])
        async with self._changed:
            self._changed.notify_all()

    def _keep(self, order: OrderView) -> None:
        known = self._orders.pop(order.order_id, None)
        kept = known if known and known.sequence > order.sequence else order  # a rebuild begins with old states
        self._orders[order.order_id] = kept
        self.sequence = max(self.sequence, order.sequence)
        if kept.customer_id:
            self._by_customer.setdefault(kept.customer_id, set()).add(kept.order_id)
        if len(self._orders) > self.settings.order_views_kept:
            self._forget(next(iter(self._orders)))
        if kept is order and self._filled and (known is None or known.sequence < order.sequence):
            self.pages.publish(order.order_id, order)
            self.pages.publish(EVERYTHING, order)

    def _forget(self, order_id: str) -> None:
        gone = self._orders.pop(order_id, None)
        if gone and gone.customer_id:
            self._by_customer.get(gone.customer_id, set()).discard(order_id)
            if not self._by_customer.get(gone.customer_id):
                self._by_customer.pop(gone.customer_id, None)

    async def _until(self, holds: Callable[[], bool]) -> bool:
        async with self._changed:
            try:
                async with asyncio.timeout(self.settings.order_views_patience.total_seconds()):
                    await self._changed.wait_for(holds)
            except TimeoutError:
                return False
        return True


def _newest_first(orders: list[OrderView]) -> list[OrderView]:
    return sorted(orders, key=lambda order: (order.created_at is not None, order.created_at), reverse=True)


def _event(order: OrderView) -> bytes:
    shown: dict[str, Any] = public(order)
    return server_sent_event("order", msgspec.json.encode(shown), id=order.sequence)
