"""Queue: the orders whose check for fraud waits for a person, approved or refused here, and chargebacks."""

from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import ClientException, HTTPException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from mesh import Mesh
from mesh.errors import Unavailable
from mesh.events.checkout import Decision, Parked, ParkedCheckout, ParkedCheckouts, Resume, Resumed
from mesh.events.fraud import FraudCheckRequested, FraudLabelled, FraudShadowJudged
from mesh.events.payment import PaymentFlagged
from mesh.subjects import token
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.roles import REVIEWER
from services.fraud.review.labels import CHECK

TEMPLATES = Path(__file__).parent / "templates"
VERDICTS: dict[str, Decision] = {"approve": "accept", "refuse": "undo"}
"""What somebody decides -> what the checkout does."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An order in the queue: what was flagged, what was asked, and what the shadow rules found."""

    parked: ParkedCheckout
    flagged: PaymentFlagged | None
    asked: FraudCheckRequested | None
    shadow: FraudShadowJudged | None


def queue_routes(console: Console, mesh: Mesh) -> list[HTTPRouteHandler]:
    """`/fraud` and what reviewers decide there."""
    environment = console.templates(TEMPLATES)

    @get("/")
    async def show_queue(request: Request[Any, Any, Any], done: FromQuery[str] = "") -> Response[bytes]:
        """The orders that wait, oldest first."""
        try:
            answer = await mesh.ask("checkout", "parked", Parked(), ParkedCheckouts)
            queue = [await _waiting(one, mesh) for one in answer.checkouts if one.step == CHECK]
            silent = False
        except Unavailable:
            queue, silent = [], True
        values = {"queue": queue, "silent": silent, "done": done, "may_decide": request.user.may(REVIEWER.name)}
        return console.page(request, environment, "queue.html.j2", values)

    @post("/{order_id:str}/{verdict:str}")
    async def review_payment(
        request: Request[Any, Any, Any], order_id: FromPath[str], verdict: FromPath[str]
    ) -> Redirect:
        """Approve an order, or refuse it: its checkout goes on or is undone. The label follows from the decision."""
        person = require(request, REVIEWER.name)
        if verdict not in VERDICTS:
            raise NotFoundException(f"{verdict[:40]!r} is none of {', '.join(VERDICTS)}")
        body = Resume(
            order_id=token(order_id, "order_id"),
            decision=VERDICTS[verdict],
            reason=f"fraud review: {verdict}",
            author=person.account.id,
        )
        answer = await mesh.ask("checkout", "resume", body, Resumed)
        if answer.refused:
            raise HTTPException(answer.refused, status_code=409)
        note(request, order_id, verdict=verdict)
        return Redirect(f"/fraud?done={verdict}", status_code=303)

    @post("/chargebacks")
    async def report_chargeback(request: Request[Any, Any, Any]) -> Redirect:
        """An order that was charged turned out to be fraud: its buyer's bank took the money back."""
        person = require(request, REVIEWER.name)
        order_id = str((await request.form()).get("order", "")).strip()
        if not order_id or await mesh.last(FraudCheckRequested, token(order_id, "order")) is None:
            raise ClientException(f"order {order_id[:40]!r} was never checked for fraud here", status_code=422)
        await mesh.publish(
            FraudLabelled(order_id=order_id, label="fraud", source="chargeback", author=person.account.id)
        )
        note(request, order_id)
        return Redirect("/fraud?done=chargeback", status_code=303)

    return [show_queue, review_payment, report_chargeback]


async def _waiting(parked: ParkedCheckout, mesh: Mesh) -> Waiting:
    flagged = await mesh.last(PaymentFlagged, parked.order_id)
    asked = await mesh.last(FraudCheckRequested, parked.order_id)
    shadow = await mesh.last(FraudShadowJudged, parked.order_id)
    return Waiting(
        parked=parked,
        flagged=flagged.event if flagged else None,
        asked=asked.event if asked else None,
        shadow=shadow.event if shadow else None,
    )
