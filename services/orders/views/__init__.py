"""Shows orders as they are: one, a customer's, all that match, and each change the moment it is stored."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from mesh import Bucket, Mesh, Received, Service, settings
from services.orders.fold import KINDS, OrderView, step
from services.orders.views.index import OrderIndex, ViewSettings

if TYPE_CHECKING:
    from litestar import Litestar

    from mesh.web.console import Console

ORDERS: Bucket[OrderView] = Bucket("orders", OrderView, ttl=timedelta(days=400), rebuilt=True)
"""Every order as it is now. Kept as long as its events."""

service = Service("order-views", buckets=(ORDERS,), asks=("checkout",), port=8160)


@service.resource
async def open_index(mesh: Mesh) -> AsyncIterator[OrderIndex]:
    """What this process knows of all orders, and the pages that follow them."""
    index = OrderIndex(mesh, ORDERS, settings.read(ViewSettings))
    mesh.on_drain.append(index.close)
    mesh.readiness_checks.append(index.unready)
    following = asyncio.create_task(index.follow())
    try:
        yield index
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


@service.on(*KINDS, batch=256, linger=timedelta(milliseconds=5), projects=ORDERS)
async def keep_orders(events: list[Received], mesh: Mesh) -> None:
    """Keep every order as its events make it, in whatever order they come."""
    by_order: dict[str, list[Received]] = {}
    for received in events:
        by_order.setdefault(received.event.order_id, []).append(received)
    changes = {order_id: partial(_after, order_id=order_id, news=news) for order_id, news in by_order.items()}
    await mesh.state(ORDERS).update_each(changes)


def _after(before: OrderView | None, *, order_id: str, news: list[Received]) -> OrderView:
    return reduce(step, news, before or OrderView(order_id=order_id))


@service.every(timedelta(minutes=1))
async def forget_removed_orders(_: datetime, index: OrderIndex) -> None:
    """What a rebuild has not brought back is not shown any more."""
    await index.compare()


@service.http
def app(mesh: Mesh, index: OrderIndex) -> "Litestar":
    """The interface for whoever reads orders, for the shop's own servers."""
    from services.orders.views.app import build  # noqa: PLC0415  brings Litestar, which other processes do not need

    return build(mesh, index)


@service.page("/orders", title="Orders", role="viewer", section="Shop")
def orders_page(console: "Console", mesh: Mesh, index: OrderIndex) -> list[Any]:
    """Every order with its checkout as a picture and its whole history; decide what waits for a person."""
    from services.orders.views.page import page_routes  # noqa: PLC0415  see above

    return page_routes(console, mesh, index)
