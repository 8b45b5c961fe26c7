"""The HTTP interface of orders, for the shop's own servers: take one, change it, and its whole history."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get, post, put
from litestar.params import FromPath, FromQuery

from mesh import Mesh, Received, settings
from mesh.errors import InvalidField
from mesh.event import declaration_of
from mesh.subjects import token
from mesh.web.application import shared_options
from mesh.web.json_request import idempotency_key, opened
from mesh.web.openapi import documentation
from mesh.web.problems import problem
from mesh.web.server_keys import ServerKeys, ServerKeySettings
from services.orders.answers import json_response, scope_of
from services.orders.commands import Asked, Cancellation, NotPossible, Return
from services.orders.fold import fold, public
from services.orders.taking import Address, NewOrder
from services.orders.write import Taken, UnknownOrder, Writer, command_of

MOST_BYTES = 1 << 20


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An order after a command; read it with `?after=<sequence>` to see at least this."""

    order: dict[str, Any]
    sequence: int


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an order, with its place in the stream."""

    type: str
    id: str
    time: datetime
    sequence: int
    data: Any


class OrderHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an order, oldest first, and the order as it was after that."""

    order: dict[str, Any]
    events: list[HistoryEvent]


NEEDS = ("Idempotency-Key",)
EXAMPLE = {"lines": [{"product_id": "tea", "quantity": 2}], "customer_id": "ada", "payment_method": "tok_visa"}
"""An order of a shop whose catalogue has `tea`."""
ANSWERED: dict[str, Any] = {"gives": {200: Answer}, "refuses": (404, 409, 422), "needs": NEEDS}
"""What every command about an order gives and refuses."""


def build(mesh: Mesh, writer: Writer) -> Litestar:
    """The app; settings are read from the environment here, once."""
    keys = ServerKeys(settings.read(ServerKeySettings))
    options = shared_options(mesh)
    options["exception_handlers"] |= {NotPossible: _not_possible, UnknownOrder: _unknown, InvalidField: _invalid}
    return Litestar(
        [_create(keys, writer), *_commands(keys, writer), _history(keys, writer), documentation("Orders")],
        request_max_body_size=MOST_BYTES,
        **options,
    )


def _create(keys: ServerKeys, writer: Writer) -> Any:
    @post(
        "/v1/orders",
        takes=NewOrder,
        gives={201: Answer, 200: Answer},
        refuses=(409, 422),
        needs=NEEDS,
        example=EXAMPLE,
    )
    async def create_order(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Take an order, once for each Idempotency-Key; the answer comes once JetStream has acknowledged it."""
        scope, key, body = scope_of(keys, request), idempotency_key(request), await request.body()
        taken = await writer.create(opened(body, NewOrder), command_of(scope, key, body))
        return _answer(taken, created=True)

    return create_order


def _commands(keys: ServerKeys, writer: Writer) -> list[Any]:
    async def obey(request: Request[Any, Any, Any], order_id: str, kind: type[Asked]) -> Response[bytes]:
        scope, key, body = scope_of(keys, request), idempotency_key(request), await request.body()
        asked = opened(body or b"{}", kind)
        command = command_of(scope, key, body, token(order_id, "order_id"), kind.__name__)
        return _answer(await writer.command(order_id, asked, command))

    @post("/v1/orders/{order_id:str}/cancellation", status_code=200, takes=Cancellation, **ANSWERED)
    async def cancel_order(request: Request[Any, Any, Any], order_id: FromPath[str]) -> Response[bytes]:
        """Cancel an order, or some of its pieces, until it is handed to shipping."""
        return await obey(request, order_id, Cancellation)

    @post("/v1/orders/{order_id:str}/returns", status_code=200, takes=Return, **ANSWERED)
    async def return_order(request: Request[Any, Any, Any], order_id: FromPath[str]) -> Response[bytes]:
        """Note that pieces of a dispatched order came back: they are paid back."""
        return await obey(request, order_id, Return)

    @put("/v1/orders/{order_id:str}/address", takes=Address, **ANSWERED)
    async def change_address(request: Request[Any, Any, Any], order_id: FromPath[str]) -> Response[bytes]:
        """Send the parcel to another address, until the order is handed to shipping."""
        return await obey(request, order_id, Address)

    return [cancel_order, return_order, change_address]


def _history(keys: ServerKeys, writer: Writer) -> Any:
    @get("/v1/orders/{order_id:str}/history", gives={200: OrderHistory}, refuses=(404,))
    async def show_history(
        request: Request[Any, Any, Any], order_id: FromPath[str], at: FromQuery[datetime | None] = None
    ) -> Response[bytes]:
        """All that happened to an order and what it came to; with `at` as it was at that time."""
        scope_of(keys, request)
        events = list(await writer.history(token(order_id, "order_id")))
        if at is not None:
            until = at.replace(tzinfo=UTC) if at.tzinfo is None else at
            events = [one for one in events if one.stored <= until]
        shown = OrderHistory(order=public(fold(order_id, events)), events=[_shown(one) for one in events])
        return json_response(shown)

    return show_history


def _shown(one: Received) -> HistoryEvent:
    type_ = declaration_of(type(one.event)).type
    return HistoryEvent(type=type_, id=one.id, time=one.time, sequence=one.sequence, data=one.event)


def _answer(taken: Taken, *, created: bool = False) -> Response[bytes]:
    headers = {"Idempotent-Replayed": "true"} if taken.repeated else {}
    if created:
        headers["Location"] = f"/v1/orders/{taken.order.order_id}"
    status = 201 if created and not taken.repeated else 200
    return json_response(Answer(order=public(taken.order), sequence=taken.sequence), status=status, headers=headers)


def _not_possible(_: Request[Any, Any, Any], error: NotPossible) -> Response[bytes]:
    return problem(409, str(error))


def _unknown(_: Request[Any, Any, Any], error: UnknownOrder) -> Response[bytes]:
    return problem(404, str(error))


def _invalid(_: Request[Any, Any, Any], error: InvalidField) -> Response[bytes]:
    return problem(422, f"{error.path}: {error.reason}")
