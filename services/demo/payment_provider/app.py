"""The sandbox provider's HTTP interface: charges, its books, and the faults it shall have."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get, post, put
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from mesh.web.problems import http_error, problem, unexpected_error
from services.demo.payment_provider.books import DECLINED, Books, Charge, Entry, Impossible, Order, OtherRequest, Verb
from services.demo.payment_provider.faults import Faults
from services.demo.payment_provider.webhooks import Webhooks

PAGE = 500
Http = Request[Any, Any, Any]


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a charge is meant; 0 where the verb says so by itself. `reason` is that of a dispute."""

    amount: int = 0
    reason: str = ""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where webhooks are sent to."""

    url: str


class Booking:
    """Books what is asked, with the faults that were asked for."""

    def __init__(self, books: Books, webhooks: Webhooks, seed: int = 0) -> None:
        self.books, self.webhooks = books, webhooks
        self._random = random.Random(seed)  # noqa: S311  faults, not secrets
        self._busy: dict[str, asyncio.Lock] = {}

    async def booked(self, request: Http, book: Callable[[str, str], Entry]) -> Response[bytes]:
        """Answer a call that moves money: once per idempotency key, however often it is asked."""
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return problem(400, "an Idempotency-Key is missing")
        digest = sha256(request.url.path.encode() + await request.body()).hexdigest()
        faults = self.webhooks.faults
        await asyncio.sleep(faults.latency_s)
        if self._random.random() < faults.refused:
            return problem(503, "not now")
        try:
            entry = self.books.answered(key, digest)
            if entry is None:
                entry = book(key, digest)
                self.webhooks.booked(entry)
        except OtherRequest as error:
            return problem(422, str(error))
        except Impossible as error:
            return problem(400, str(error))
        if self._random.random() < faults.unanswered:
            await asyncio.sleep(faults.unanswered_s)
        return answer(entry.charge, 402 if entry.charge.declined else 200)

    def declines(self) -> bool:
        """Whether the next authorisation is one of those to be declined."""
        return self._random.random() < self.webhooks.faults.declined


def app(booking: Booking, api_key: str) -> Litestar:
    """Its routes; whoever calls must know the API key."""

    def let_in(request: Http) -> Response[bytes] | None:
        if api_key and request.headers.get("Authorization") != f"Bearer {api_key}":
            return problem(401, "no such API key")
        return None

    return Litestar(
        [*_moving_money(booking), *_reading(booking.books), *_arranging(booking.webhooks)],
        before_request=let_in,
        openapi_config=None,
        logging_config=None,
        exception_handlers={HTTPException: http_error, Exception: unexpected_error},
    )


def _moving_money(booking: Booking) -> list[HTTPRouteHandler]:
    @post("/v1/charges", status_code=200)
    async def authorise(request: Http) -> Response[bytes]:
        order = _decoded(await request.body(), Order)
        if booking.declines():
            order = msgspec.structs.replace(order, method=next(iter(DECLINED)))
        return await booking.booked(request, lambda key, digest: booking.books.authorise(order, key, digest))

    @post("/v1/charges/{charge_id:str}/{verb:str}", status_code=200)
    async def change(request: Http, charge_id: FromPath[str], verb: FromPath[Verb]) -> Response[bytes]:
        charge, asked = booking.books.get(charge_id), _decoded(await request.body(), Amount)
        if charge is None or verb == "authorise":
            return problem(404, f"no charge {charge_id}, or no {verb}")

        def book(key: str, digest: str) -> Entry:
            current = booking.books.get(charge_id) or charge
            return booking.books.change(verb, current, asked.amount, key, digest, asked.reason)

        return await booking.booked(request, book)

    return [authorise, change]


def _reading(books: Books) -> list[HTTPRouteHandler]:
    @get("/v1/charges/{charge_id:str}")
    async def read(charge_id: FromPath[str]) -> Response[bytes]:
        charge = books.get(charge_id)
        return answer(charge) if charge else problem(404, f"no charge {charge_id}")

    @get("/v1/charges")
    async def list_charges(
        since: FromQuery[datetime], until: FromQuery[datetime], after: FromQuery[str | None] = None
    ) -> Response[bytes]:
        if since.tzinfo is None or until.tzinfo is None:
            return problem(400, "a time has no zone")
        found = [one for one in books if since <= one.created < until]
        begin = next((at for at, one in enumerate(found, 1) if one.id == after), 0)
        page = found[begin : begin + PAGE]
        more = page[-1].id if begin + PAGE < len(found) else None
        return answer({"charges": page, "next": more})

    return [read, list_charges]


def _arranging(webhooks: Webhooks) -> list[HTTPRouteHandler]:
    @put("/v1/webhook_endpoints", status_code=200)
    async def register(request: Http) -> Response[bytes]:
        webhooks.register(_decoded(await request.body(), Address).url)
        return answer({"endpoints": sorted(webhooks.addresses)})

    @put("/faults", status_code=200)
    async def set_faults(request: Http) -> Response[bytes]:
        webhooks.faults = _decoded(await request.body(), Faults)
        webhooks.release()
        return answer(webhooks.faults)

    return [register, set_faults]


def answer(value: Charge | Faults | dict[str, Any], status: int = 200) -> Response[bytes]:
    """JSON."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(str(error), status_code=400) from None
