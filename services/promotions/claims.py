"""Claims: the codes of this region's orders, which their checkouts reserve, redeem and give back."""

from datetime import datetime

from mesh import Mesh, Received, Unchanged
from mesh.envelope import derive_id
from mesh.events.code import (
    ClaimCode,
    CodeChanged,
    CodeClaimChanged,
    CodeClaimed,
    CodeClaimRequested,
    CodeRequested,
)
from mesh.observability.logs import log
from mesh.publish import Cause, Change
from services.promotions.code_key import code_id
from services.promotions.code_state import CodeRequest, Verdict
from services.promotions.codes import Asked, Codes


async def answer_claim(received: Received[CodeClaimRequested], mesh: Mesh, codes: Codes) -> None:
    """Decide what a checkout asks, or ask the code's home. A request that was answered or overtaken changes nothing."""
    wanted = received.event
    answered = await mesh.last(CodeClaimChanged, wanted.order_id)
    if answered and answered.event.place >= received.sequence:
        return
    cause = Cause(id=received.id, source="promotions.answer-checkout", event=received.id)
    until = received.stored + codes.settings.code_kept_for_order
    if wanted.home != mesh.region:
        await mesh.commit([_request(received, until)], cause)
        return
    asked = CodeRequest(
        action=wanted.action,
        order_id=wanted.order_id,
        region=mesh.region,
        place=received.sequence,
        until=until,
        customer_id=wanted.customer_id,
        amount=wanted.amount,
    )

    def answer(verdict: Verdict, _: CodeChanged | None) -> list[Change]:
        if verdict.outcome == "refused" and wanted.action == "redeem":
            log.error("an order was confirmed whose code somebody else has", order_id=wanted.order_id)
        changed = CodeClaimChanged(
            order_id=wanted.order_id, code_id=wanted.code_id, outcome=verdict.outcome, place=received.sequence
        )
        return [changed, Unchanged(CodeClaimChanged, wanted.order_id, answered.sequence if answered else 0)]

    await codes.decided(wanted.code_id, asked, cause, answer)


async def claim(wanted: ClaimCode, codes: Codes) -> CodeClaimed:
    """Reserve a code for an order that is being taken, or give it back. Raises Unavailable."""
    asked = Asked(
        code=wanted.code,
        action=wanted.action,
        order_id=wanted.order_id,
        request_id=derive_id("order's code", codes.mesh.region, wanted.action, wanted.order_id, wanted.code),
        body=code_id(f"{wanted.customer_id} {wanted.amount}"),
        customer_id=wanted.customer_id,
        amount=wanted.amount,
    )
    answer = await codes.ask(asked)
    outcome = "reserved" if answer.outcome == "redeemed" else answer.outcome
    return CodeClaimed(outcome=outcome, code_id=answer.code_id, home=answer.home, discount=answer.discount)


def _request(received: Received[CodeClaimRequested], until: datetime) -> CodeRequested:
    wanted = received.event
    return CodeRequested(
        request_id=derive_id("claim", received.id),
        code_id=wanted.code_id,
        home=wanted.home,
        action=wanted.action,
        order_id=wanted.order_id,
        customer_id=wanted.customer_id,
        amount=wanted.amount,
        until=until,
        place=received.sequence,
        for_checkout=True,
    )
