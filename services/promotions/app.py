"""The redemption API for the shop's own servers: reserve a code, redeem it, or give it back."""

import asyncio
from datetime import datetime
from hashlib import blake2b
from time import monotonic
from typing import Annotated, Any, Literal

import msgspec
from litestar import Litestar, Request, Response, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from mesh import Mesh, Money, settings
from mesh.discounts import taken_off
from mesh.errors import InvalidField
from mesh.events.code import CodeAction, Discount
from mesh.vocabulary import Token
from mesh.web.application import shared_options
from mesh.web.json_request import idempotency_key, opened
from mesh.web.openapi import documentation
from mesh.web.problems import problem, retry_later
from mesh.web.server_keys import BEARER, ServerKeys, ServerKeySettings
from services.promotions.code_key import LONGEST
from services.promotions.codes import Answer, Asked, Codes, KeyReused
from services.promotions.guesses import Guesses

MOST_BYTES = 16 * 1024
REFUSED = "this code cannot be redeemed"
"""The answer to every bad code, whatever is wrong with it."""
UNKNOWN = "the code cannot be checked now, as its region cannot be reached: try again"
CodeText = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
NEEDS = ("Idempotency-Key",)


class Reservation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `reserve`: for which order or cart, whose, and what it comes to.

    `client` names who typed the code, such as a digest of their address: bad codes are counted by it, or else by
    customer or order.
    """

    order_id: Token
    customer_id: Token | None = None
    amount: Money | None = None
    client: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None


class Settlement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `redeem` and `release`: the order or cart that has the code."""

    order_id: Token
    customer_id: Token | None = None
    client: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None


class CodeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a code: what it takes off, of the `amount` that was named, and until when it is reserved."""

    outcome: Literal["reserved", "redeemed", "released"]
    order_id: str
    discount: Discount | None = None
    off: Money | None = None
    until: datetime | None = None


OPTIONS: dict[str, Any] = {
    "status_code": 200,
    "names": {"code": CodeText},
    "gives": {200: CodeAnswer},
    "refuses": (404, 409, 422, 429),
    "needs": NEEDS,
}


def build(mesh: Mesh, codes: Codes) -> Litestar:
    """The app; its settings are read from the environment here, once."""
    options = shared_options(mesh)
    options["exception_handlers"] |= {InvalidField: _invalid, KeyReused: _reused}
    endpoint = CodeEndpoint(codes, ServerKeys(settings.read(ServerKeySettings)))

    @post("/v1/codes/{code:str}/reserve", takes=Reservation, **OPTIONS)
    async def reserve_code(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[bytes]:
        """Reserve a code for an order or cart: nobody else has it until that is redeemed, released or over."""
        return await endpoint.answer(request, code, "reserve", Reservation)

    @post("/v1/codes/{code:str}/redeem", takes=Settlement, **OPTIONS)
    async def redeem_code(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[bytes]:
        """Redeem a code: the order is placed. Without a reservation it is both in one."""
        return await endpoint.answer(request, code, "redeem", Settlement)

    @post("/v1/codes/{code:str}/release", takes=Settlement, **OPTIONS)
    async def release_code(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[bytes]:
        """Give a code back: the payment was declined, or the order was cancelled."""
        return await endpoint.answer(request, code, "release", Settlement)

    routes = [reserve_code, redeem_code, release_code, documentation("Promotions")]
    return Litestar(routes, request_max_body_size=MOST_BYTES, **options)


class CodeEndpoint:
    """Answers requests for codes: every refusal alike, after the same time, and after too many of them none."""

    def __init__(self, codes: Codes, keys: ServerKeys) -> None:
        self._codes, self._keys = codes, keys
        self._guesses = Guesses(codes.settings.code_guesses, codes.settings.code_guess_window)

    async def answer(
        self, request: Request[Any, Any, Any], code: str, action: CodeAction, kind: type[Reservation | Settlement]
    ) -> Response[bytes]:
        """The response to a request for a code."""
        began = monotonic()
        scope = self._keys.scope(request.headers.get("authorization"))
        if scope is None:
            words = "send `Authorization: Bearer <server key>`; the keys are the setting CARTMESH_SERVER_KEYS"
            raise HTTPException(words, status_code=401, headers=BEARER)
        key, body = idempotency_key(request), await request.body()
        sent = opened(body, kind)
        client = f"{scope} {sent.client or sent.customer_id or sent.order_id}"
        if wait := self._guesses.wait(client):
            return retry_later(429, "too many codes that cannot be redeemed: wait", seconds=wait)
        amount = sent.amount if isinstance(sent, Reservation) else None
        asked = Asked(
            code=code,
            action=action,
            order_id=sent.order_id,
            request_id=_digest(scope, action, code, key),
            body=_digest(body.hex()),
            customer_id=sent.customer_id,
            amount=amount,
        )
        answered = await self._codes.ask(asked)
        if answered.outcome == "unknown":
            return retry_later(503, UNKNOWN, seconds=self._codes.settings.code_patience.total_seconds())
        if answered.outcome == "refused":
            self._guesses.count(client)
            over = self._codes.settings.code_refusal_after.total_seconds() - (monotonic() - began)
            await asyncio.sleep(max(0.0, over))
            return problem(404, REFUSED)
        return _response(answered, sent.order_id, amount)


def _response(answered: Answer, order_id: str, amount: Money | None) -> Response[bytes]:
    off = taken_off(answered.discount, amount) if answered.discount and amount else None
    given = CodeAnswer(
        outcome=answered.outcome,  # type: ignore[arg-type]  refusals were answered before
        order_id=order_id,
        discount=answered.discount,
        off=off,
        until=answered.until,
    )
    headers = {"Cache-Control": "no-store"} | ({"Idempotent-Replayed": "true"} if answered.repeated else {})
    return Response(msgspec.json.encode(given), media_type="application/json", headers=headers)


def _digest(*parts: str) -> str:
    return blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()


def _invalid(_: Request[Any, Any, Any], error: InvalidField) -> Response[bytes]:
    return problem(422, f"{error.path}: {error.reason}")


def _reused(_: Request[Any, Any, Any], error: KeyReused) -> Response[bytes]:
    return problem(409, str(error))
