"""Coupon codes: issued with offers, reserved by an order, redeemed once in the whole mesh, given back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mesh import Mesh, Received, Service, Timer, Unchanged, settings
from mesh.envelope import derive_id
from mesh.events.cart import CartAbandoned
from mesh.events.code import (
    CodeAnswered,
    CodeChanged,
    CodeClaimChanged,
    CodeClaimRequested,
    CodeExpired,
    CodeRequested,
    CodeReservationExpired,
    CodeReserved,
    Discount,
    ReserveCode,
)
from mesh.events.offer import OfferDecided, OfferFailed, OfferWithdrawn
from mesh.observability.logs import log
from mesh.publish import Cause, Change
from services.promotions.code_desk import Asked, CodeDesk
from services.promotions.code_key import code_id
from services.promotions.code_state import CodeRequest, Verdict, expired, reservation_over
from services.promotions.promotion_settings import PromotionSettings

if TYPE_CHECKING:
    from litestar import Litestar

service = Service(
    "promotions",
    publishes=(
        CodeChanged,
        CodeRequested,
        CodeAnswered,
        CodeReservationExpired,
        CodeExpired,
        CodeClaimChanged,
    ),
    timers=(CodeReservationExpired, CodeExpired),
    port=8200,
)


@service.resource
async def open_desk(mesh: Mesh) -> AsyncIterator[CodeDesk]:
    """What asks for codes, and decides about those of this region."""
    yield CodeDesk(mesh, settings.read(PromotionSettings))


@service.on(OfferDecided, concurrency=32)
async def issue_code(received: Received[OfferDecided], mesh: Mesh, desk: CodeDesk) -> AsyncIterator[Change]:
    """The code of an approved offer can be redeemed from now on, by the customer whose cart it was, where that is known."""
    decided = received.event
    if decided.outcome != "approved" or not decided.coupon:
        return
    key = code_id(decided.coupon)
    if await mesh.last(CodeChanged, key):
        return  # issued before, as a code of a list
    cart = await mesh.last(CartAbandoned, decided.cart_id)
    expires = received.stored + desk.settings.code_lasts
    yield CodeChanged(
        code_id=key,
        code=decided.coupon,
        state="free",
        discount=Discount(percent=decided.discount_percent),
        expires=expires,
        customer_id=cart.event.customer_id if cart else None,
        journey=decided.journey,
        offer_id=decided.offer_id,
    )
    yield Unchanged(CodeChanged, key, 0)
    yield Timer(CodeExpired(code_id=key), expires)


@service.on(CodeReservationExpired)
async def end_reservation(received: Received[CodeReservationExpired], desk: CodeDesk) -> None:
    """A code whose reservation is over is free again."""
    over = received.event
    cause = Cause(id=received.id, source="promotions.end-reservation", event=received.id)
    await desk.change(over.code_id, lambda code: reservation_over(code, over.until, datetime.now(UTC)), cause)


@service.on(CodeExpired)
async def expire_code(received: Received[CodeExpired], desk: CodeDesk) -> None:
    """A code that nobody redeemed in time can no longer be."""
    cause = Cause(id=received.id, source="promotions.expire-code", event=received.id)
    await desk.change(received.event.code_id, lambda code: expired(code, datetime.now(UTC)), cause)


@service.on(CodeRequested, reach="mesh", ack_wait=timedelta(seconds=10), concurrency=64)
async def answer_region(received: Received[CodeRequested], mesh: Mesh, desk: CodeDesk) -> None:
    """What another region asks about a code whose home is here is decided and answered."""
    if received.event.home == mesh.region != received.region:
        await desk.answer_region(received)


@service.on(CodeClaimRequested, concurrency=64)
async def answer_checkout(received: Received[CodeClaimRequested], mesh: Mesh, desk: CodeDesk) -> None:
    """What a checkout asks about its order's code is decided here, or asked of the code's home."""
    wanted = received.event
    cause = Cause(id=received.id, source="promotions.answer-checkout", event=received.id)
    until = wanted.until or datetime.now(UTC) + desk.settings.code_reserved_for
    if wanted.home != mesh.region:
        request = CodeRequested(
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
        await mesh.commit([request], cause)
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

    def answered(verdict: Verdict, _: CodeChanged | None) -> list[Change]:
        return [
            CodeClaimChanged(
                order_id=wanted.order_id, code_id=wanted.code_id, outcome=verdict.outcome, place=received.sequence
            )
        ]

    await desk.decided(wanted.code_id, asked, cause, answered)


@service.on(CodeAnswered, reach="mesh")
async def tell_checkout(received: Received[CodeAnswered], mesh: Mesh) -> AsyncIterator[CodeClaimChanged]:
    """The answer of another region to a checkout of this one."""
    answer = received.event
    if not answer.for_checkout or received.region == mesh.region:
        return
    request = await mesh.last(CodeRequested, answer.request_id)
    if request is None or request.event.home != received.region or request.event.code_id != answer.code_id:
        return
    yield CodeClaimChanged(
        order_id=answer.order_id, code_id=answer.code_id, outcome=answer.outcome, place=answer.place
    )


@service.answers
async def reserve_code(wanted: ReserveCode, desk: CodeDesk) -> CodeReserved:
    """Reserve a code for an order that is being taken."""
    asked = Asked(
        code=wanted.code,
        action="reserve",
        order_id=wanted.order_id,
        request_id=derive_id("order's code", desk.mesh.region, wanted.order_id, wanted.code),
        body=code_id(f"{wanted.customer_id} {wanted.amount}"),
        customer_id=wanted.customer_id,
        amount=wanted.amount,
    )
    answer = await desk.ask(asked)
    if answer.outcome == "unknown":
        return CodeReserved(outcome="unknown")
    held = answer.outcome in ("reserved", "redeemed")
    return CodeReserved(
        outcome="reserved" if held else "refused", code_id=answer.code_id, home=answer.home, discount=answer.discount
    )


@service.http
def app(mesh: Mesh, desk: CodeDesk) -> "Litestar":
    """The redemption API for the shop's servers."""
    from services.promotions.app import build  # noqa: PLC0415  brings Litestar, which other processes do not need

    return build(mesh, desk)
