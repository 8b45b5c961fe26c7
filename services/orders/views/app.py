"""The HTTP interface of the read side: an order, a customer's orders, a search, and changes as they happen."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from mesh import Mesh, settings
from mesh.subjects import token
from mesh.web.application import event_stream_response, shared_options
from mesh.web.openapi import documentation
from mesh.web.problems import retry_later
from mesh.web.server_keys import ServerKeys, ServerKeySettings
from services.orders.answers import json_response, scope_of
from services.orders.fold import OrderView, public
from services.orders.views.index import EVERYTHING, OrderIndex

MOST = 200
BEHIND = "Cartmesh-Behind"
"""The header that says how many stored events the answer may not reflect yet."""


class ShownOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order."""

    order: OrderView


class ShownOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Orders, newest first."""

    orders: tuple[OrderView, ...]


def build(mesh: Mesh, index: OrderIndex) -> Litestar:
    """The app; settings are read from the environment here, once."""
    keys = ServerKeys(settings.read(ServerKeySettings))
    routes = [_order(keys, index), _of_customer(keys, index), _search(keys, index), *_live(keys, index)]
    return Litestar([*routes, documentation("Orders, to read")], **shared_options(mesh))


def _order(keys: ServerKeys, index: OrderIndex) -> Any:
    @get("/v1/orders/{order_id:str}", gives={200: ShownOrder}, refuses=(404,))
    async def show_order(
        request: Request[Any, Any, Any], order_id: FromPath[str], after: FromQuery[int] = 0
    ) -> Response[bytes]:
        """An order as it is. With `after`, the sequence of a change, at least as it was after that change."""
        scope_of(keys, request)
        order = await index.order(token(order_id, "order_id"), after=after)
        if order is None and not after:
            raise HTTPException(f"there is no order {order_id}", status_code=404)
        if order is None:
            return _not_yet(after)
        return json_response({"order": public(order)}, headers=await _staleness(index))

    return show_order


def _of_customer(keys: ServerKeys, index: OrderIndex) -> Any:
    @get("/v1/customers/{customer_id:str}/orders", gives={200: ShownOrders})
    async def show_orders_of_customer(
        request: Request[Any, Any, Any], customer_id: FromPath[str], after: FromQuery[int] = 0
    ) -> Response[bytes]:
        """A customer's orders, newest first. With `after`, at least as they were after that change of one of them."""
        scope_of(keys, request)
        orders = await index.of_customer(token(customer_id, "customer_id"), after=after)
        if orders is None:
            return _not_yet(after)
        return json_response({"orders": [public(one) for one in orders]}, headers=await _staleness(index))

    return show_orders_of_customer


def _search(keys: ServerKeys, index: OrderIndex) -> Any:
    @get("/v1/orders", gives={200: ShownOrders})
    async def search_orders(
        request: Request[Any, Any, Any],
        status: FromQuery[str | None] = None,
        product_id: FromQuery[str | None] = None,
        reference: FromQuery[str | None] = None,
        since: FromQuery[datetime | None] = None,
        until: FromQuery[datetime | None] = None,
        most: FromQuery[int] = 50,
    ) -> Response[bytes]:
        """The newest orders that match all that is given, at most `most` of them (up to 200)."""
        scope_of(keys, request)
        found = index.search(_matching(status, product_id, reference, since, until), max(1, min(most, MOST)))
        return json_response({"orders": [public(one) for one in found]}, headers=await _staleness(index))

    return search_orders


def _live(keys: ServerKeys, index: OrderIndex) -> list[Any]:
    def room(request: Request[Any, Any, Any]) -> None:
        scope_of(keys, request)
        if index.pages.open >= index.settings.order_views_pages:
            raise HTTPException("too many pages are open", status_code=429, headers={"Retry-After": "30"})

    @get("/v1/orders/{order_id:str}/live", gives={200: str}, refuses=(404, 429))
    async def follow_order(request: Request[Any, Any, Any], order_id: FromPath[str]) -> Stream:
        """An order as it is now and after each change, as server-sent events `order`."""
        room(request)
        order = await index.order(token(order_id, "order_id"))
        if order is None:
            raise HTTPException(f"there is no order {order_id}", status_code=404)
        return event_stream_response(index.stream(order_id, order))

    @get("/v1/orders/live", gives={200: str}, refuses=(429,))
    async def follow_orders(request: Request[Any, Any, Any]) -> Stream:
        """Every order that changes, as server-sent events `order`."""
        room(request)
        return event_stream_response(index.stream(EVERYTHING))

    return [follow_order, follow_orders]


def _matching(
    status: str | None, product_id: str | None, reference: str | None, since: datetime | None, until: datetime | None
) -> Callable[[OrderView], bool]:
    first, end = _aware(since), _aware(until)

    def matches(order: OrderView) -> bool:
        return (
            status in (None, order.status)
            and reference in (None, order.reference)
            and (product_id is None or any(line.product_id == product_id for line in order.lines))
            and order.created_at is not None
            and (first is None or order.created_at >= first)
            and (end is None or order.created_at < end)
        )

    return matches


def _aware(at: datetime | None) -> datetime | None:
    """A time without a zone is one in UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


async def _staleness(index: OrderIndex) -> dict[str, str]:
    return {BEHIND: str(await index.behind())}


def _not_yet(after: int) -> Response[bytes]:
    return retry_later(503, f"what was stored at {after} is not shown yet", seconds=1)
