"""Page: the payments for the shop's staff: one payment with its amounts, and where the provider's books differ."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from litestar import Request, Response, get, post
from litestar.exceptions import ClientException, HTTPException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from mesh import Mesh, Money, Received
from mesh.event import declaration_of
from mesh.events.payment import PaymentFailed, PaymentReconciled
from mesh.subjects import token
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.roles import REVIEWER
from services.payments.asking import Asking
from services.payments.fold import ANSWERS, REQUESTS, fold
from services.payments.newest import newest_payments, status_of
from services.payments.provider import OutcomeUnknown, RequestRefused
from services.payments.reconciliation import reconcile

TEMPLATES = Path(__file__).parent / "templates"
SHOWN, NEWEST = 60, 50
KINDS = {
    "charge_without_order": "A charge without an order",
    "order_without_charge": "An order without a charge",
    "amounts_differ": "The amounts differ",
}
ADVICE = {
    "charge_without_order": "Pay it back at the provider, or find out why its order is not confirmed.",
    "order_without_charge": "Hold the parcel back, and ask the customer to pay again.",
    "amounts_differ": "Compare the provider's record with the history of this payment.",
}


def page_routes(console: Console, mesh: Mesh, asking: Asking) -> list[HTTPRouteHandler]:
    """All of them, below `/payments`."""
    environment = console.templates(TEMPLATES)
    environment.globals |= {"kinds": KINDS, "advice": ADVICE, "shown": _shown}

    async def show(request: Request[Any, Any, Any], asked: PaymentReconciled | None = None) -> Response[bytes]:
        values = {
            "newest": await newest_payments(mesh, NEWEST),
            "days": await _days(mesh),
            "asked": asked,
            "may_compare": request.user.may(REVIEWER.name),
            "yesterday": _yesterday(),
            "provider": asking.configured.name if asking.configured else None,
        }
        return console.page(request, environment, "payments.html.j2", values)

    @get("/")
    async def show_payments(request: Request[Any, Any, Any], order: FromQuery[str] = "") -> Response[bytes] | Redirect:
        """The newest payments, and what the comparisons with the provider's books found; with `order` that payment."""
        if order.strip():
            return Redirect(f"/payments/{token(order.strip(), 'order')}", status_code=303)
        return await show(request)

    @get("/{payment_id:str}")
    async def show_payment(request: Request[Any, Any, Any], payment_id: FromPath[str]) -> Response[bytes]:
        """One payment: what is held, charged and paid back, and everything that was requested and answered."""
        history = await mesh.history(token(payment_id, "payment"), *REQUESTS, *ANSWERS)
        if not history.events:
            raise NotFoundException(f"there is no payment {payment_id} in {mesh.region}")
        payment = fold(payment_id, history)
        values = {"payment": payment, "status": status_of(payment), "lines": list(_lines(history))}
        return console.page(request, environment, "payment.html.j2", values)

    @post("/compare", status_code=200)
    async def compare_books(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Compare the provider's books of a day with the log now. It is shown, and not stored."""
        require(request, REVIEWER.name)
        day = _day(str((await request.form()).get("day", "")))
        if asking.configured is None:
            raise HTTPException("no payment provider is configured here", status_code=409)
        try:
            found = await reconcile(day, mesh, asking.configured)
        except (OutcomeUnknown, RequestRefused) as error:
            raise HTTPException(f"the provider's books cannot be read: {error}", status_code=502) from None
        note(request, str(day), differences=str(len(found.differences)))
        return await show(request, found)

    return [show_payments, show_payment, compare_books]


async def _days(mesh: Mesh) -> list[PaymentReconciled]:
    """The comparisons that were made each day, newest first."""
    return [one.event async for one in mesh.read(PaymentReconciled)][-SHOWN:][::-1]


def _lines(history: Iterable[Received]) -> Iterable[tuple[datetime, str, str]]:
    """When, what, and the facts of each event of a payment."""
    for one in history:
        name = declaration_of(type(one.event)).name.partition(".")[2].replace("_", " ")
        step = f"{one.event.step}: " if isinstance(one.event, PaymentFailed) else ""
        facts = (getattr(one.event, "amount", None), getattr(one.event, "reason", None))
        yield one.stored, name, step + ", ".join(_shown(fact) for fact in facts if fact)


def _shown(value: Any) -> str:
    return f"{value.decimal()} {value.currency}" if isinstance(value, Money) else str(value)


def _yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ClientException(f"{text[:40]!r} is no day; write 2026-05-01", status_code=422) from None
