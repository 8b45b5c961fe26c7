"""Page: the orders for the shop's staff: search, one order with its checkout and history, and what waits for them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from litestar import Request, Response, get, post
from litestar.exceptions import ClientException, HTTPException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from mesh import Mesh
from mesh.errors import Unavailable
from mesh.events.checkout import Decision, Parked, ParkedCheckouts, Resume, Resumed
from mesh.subjects import token
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.roles import REVIEWER
from services.orders.fold import OrderView, Status, fold
from services.orders.views.entries import DOMAINS, entries, shown_money
from services.orders.views.index import OrderIndex
from services.orders.views.picture import picture, plain, title_of

TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 50
LONGEST_REASON = 200
DECISIONS = {"again": "Try the step again", "accept": "Take the step as done", "undo": "Undo the order"}


def page_routes(console: Console, mesh: Mesh, index: OrderIndex) -> list[HTTPRouteHandler]:
    """All of them, below `/orders`."""
    environment = console.templates(TEMPLATES)
    environment.globals |= {"money": shown_money, "title_of": title_of, "plain": plain, "decisions": DECISIONS}

    @get("/")
    async def show_orders(
        request: Request[Any, Any, Any], q: FromQuery[str] = "", status: FromQuery[str] = ""
    ) -> Response[bytes]:
        """The newest orders, those that match a search, and the checkouts that wait for a person."""
        parked, silent = await _parked(mesh)
        found = index.search(lambda order: _matches(order, q.strip(), status), SHOWN)
        values = {"orders": found, "q": q, "status": status, "statuses": get_args(Status)[1:], "most": SHOWN}
        return console.page(request, environment, "orders.html.j2", values | {"parked": parked, "silent": silent})

    @get("/{order_id:str}")
    async def show_order(
        request: Request[Any, Any, Any],
        order_id: FromPath[str],
        at: FromQuery[str] = "",
        decided: FromQuery[str] = "",
    ) -> Response[bytes]:
        """One order; with `at` as it was at that moment."""
        until = _moment(at)
        history = [*await mesh.history(token(order_id, "order_id"), *DOMAINS)]
        then = [one for one in history if until is None or one.stored <= until]
        order = fold(order_id, sorted(then, key=lambda one: one.sequence))
        if order.created_at is None and not then:
            raise NotFoundException(f"there is no order {order_id} in {mesh.region}" + (" at that time" if at else ""))
        values = {"order": order, "picture": picture(then), "entries": entries(history), "until": until}
        may_decide = request.user.may(REVIEWER.name)
        return console.page(
            request, environment, "order.html.j2", values | {"may_decide": may_decide, "decided": decided}
        )

    @post("/{order_id:str}/decision")
    async def decide_checkout(request: Request[Any, Any, Any], order_id: FromPath[str]) -> Redirect:
        """Go on with a parked checkout as somebody decided."""
        person = require(request, REVIEWER.name)
        sent = await request.form()
        decision, reason = _decision(str(sent.get("decision", ""))), str(sent.get("reason", "")).strip()
        body = Resume(
            order_id=token(order_id, "order_id"),
            decision=decision,
            reason=reason[:LONGEST_REASON],
            author=person.account.id,
        )
        answer = await mesh.ask("checkout", "resume", body, Resumed)
        if answer.refused:
            raise HTTPException(answer.refused, status_code=409)
        note(request, order_id, decision=decision)
        return Redirect(f"/orders/{order_id}?decided={decision}", status_code=303)

    return [show_orders, show_order, decide_checkout]


async def _parked(mesh: Mesh) -> tuple[ParkedCheckouts, bool]:
    """The checkouts that wait for a person, and whether the checkout did not answer."""
    try:
        return await mesh.ask("checkout", "parked", Parked(), ParkedCheckouts), False
    except Unavailable:
        return ParkedCheckouts(checkouts=()), True


def _matches(order: OrderView, q: str, status: str) -> bool:
    named = (order.reference, order.customer_id, *(line.product_id for line in order.lines))
    return (not status or order.status == status) and (not q or order.order_id.startswith(q) or q in named)


def _moment(text: str) -> datetime | None:
    """A moment as forms and links write it, in UTC where it has no zone. Raises 400."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # a plus in an address comes as a space
    except ValueError:
        raise ClientException(f"{text[:40]!r} is no time; write 2026-05-01T12:30", status_code=400) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _decision(text: str) -> Decision:
    known: dict[str, Literal["again", "undo", "accept"]] = {"again": "again", "undo": "undo", "accept": "accept"}
    if text not in known:
        raise ClientException(f"{text[:40]!r} is none of {', '.join(known)}", status_code=400)
    return known[text]
