"""Coupon codes: issued with offers, reserved by an order, redeemed once in the whole mesh, given back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mesh import Mesh, Received, Service, Timer, Unchanged, settings
from mesh.events.cart import CartAbandoned
from mesh.events.code import (
    AssignCode,
    ClaimCode,
    CodeAnswered,
    CodeAssigned,
    CodeAssignment,
    CodeChanged,
    CodeClaimChanged,
    CodeClaimed,
    CodeClaimRequested,
    CodeExpired,
    CodeListExhausted,
    CodePartUsed,
    CodeRequested,
    CodeReservationExpired,
    CodesImported,
    Discount,
)
from mesh.events.offer import CART_ABANDONED, OfferDecided, OfferFailed, OfferTriggered, OfferWithdrawn
from mesh.publish import Cause, Change
from services.promotions.claims import answer_claim, claim
from services.promotions.code_index import CodeIndex
from services.promotions.code_key import code_id
from services.promotions.code_lists import CodeLists
from services.promotions.code_state import expired, reservation_over, withdrawn
from services.promotions.codes import Codes
from services.promotions.offered import code_never_sent
from services.promotions.promotion_settings import PromotionSettings

if TYPE_CHECKING:
    from litestar import Litestar

    from mesh.web.console import Console

service = Service(
    "promotions",
    publishes=(
        CodeChanged,
        CodeRequested,
        CodeAnswered,
        CodeReservationExpired,
        CodeExpired,
        CodeClaimChanged,
        CodesImported,
        CodePartUsed,
        CodeAssigned,
        CodeListExhausted,
    ),
    timers=(CodeReservationExpired, CodeExpired),
    port=8200,
)


@service.resource
async def open_codes(mesh: Mesh) -> AsyncIterator[Codes]:
    """What asks for codes, and decides about those of this region."""
    yield Codes(mesh, settings.read(PromotionSettings))


@service.resource
async def open_lists(mesh: Mesh) -> AsyncIterator[CodeLists]:
    """The imported code lists."""
    yield CodeLists(mesh)


@service.resource
async def open_index(mesh: Mesh) -> AsyncIterator[CodeIndex]:
    """What the page shows."""
    yield CodeIndex(mesh)


@service.on(OfferDecided, concurrency=32)
async def issue_code(received: Received[OfferDecided], mesh: Mesh, codes: Codes) -> AsyncIterator[Change]:
    """The code of an approved offer can be redeemed from now on; by no other customer than its cart's."""
    decided = received.event
    if decided.outcome != "approved" or not decided.coupon:
        return
    key = code_id(decided.coupon)
    if await mesh.last(CodeChanged, key):
        return  # issued before, as a code of a list
    kind = CartAbandoned if decided.trigger == CART_ABANDONED else OfferTriggered
    cart = await mesh.last(kind, decided.cart_id)
    expires = received.stored + codes.settings.code_lasts
    yield CodeChanged(
        code_id=key,
        code=decided.coupon,
        state="free",
        discount=decided.discount or Discount(percent=decided.discount_percent),
        expires=expires,
        customer_id=cart.event.customer_id if cart else None,
        journey=decided.journey,
        offer_id=decided.offer_id,
    )
    yield Unchanged(CodeChanged, key, 0)
    yield Timer(CodeExpired(code_id=key), expires)


@service.on(OfferWithdrawn, OfferFailed, concurrency=32)
async def withdraw_code(received: Received[OfferWithdrawn | OfferFailed], mesh: Mesh, codes: Codes) -> None:
    """The code of an offer that reached its shopper by no channel can no longer be redeemed."""
    key = await code_never_sent(received, mesh)
    if key:
        cause = Cause(id=received.id, source="promotions.withdraw-code", event=received.id)
        await codes.change(key, lambda code: withdrawn(code, received.event.reason[:512]), cause)


@service.on(CodeReservationExpired)
async def end_reservation(received: Received[CodeReservationExpired], codes: Codes) -> None:
    """A code whose reservation is over is free again."""
    over = received.event
    cause = Cause(id=received.id, source="promotions.end-reservation", event=received.id)
    await codes.change(over.code_id, lambda code: reservation_over(code, over.until, datetime.now(UTC)), cause)


@service.on(CodeExpired)
async def expire_code(received: Received[CodeExpired], codes: Codes) -> None:
    """A code that nobody redeemed in time can no longer be."""
    cause = Cause(id=received.id, source="promotions.expire-code", event=received.id)
    await codes.change(received.event.code_id, lambda code: expired(code, datetime.now(UTC)), cause)


@service.on(CodeRequested, reach="mesh", ack_wait=timedelta(seconds=10), concurrency=64)
async def answer_region(received: Received[CodeRequested], mesh: Mesh, codes: Codes) -> None:
    """What another region asks about a code whose home is here is decided and answered."""
    if received.event.home == mesh.region != received.region:
        await codes.answer_region(received)


@service.on(CodeClaimRequested, concurrency=64)
async def answer_checkout(received: Received[CodeClaimRequested], mesh: Mesh, codes: Codes) -> None:
    """What a checkout asks about its order's code is decided here, or asked of the code's home."""
    await answer_claim(received, mesh, codes)


@service.on(CodeAnswered, reach="mesh")
async def tell_checkout(received: Received[CodeAnswered], mesh: Mesh) -> AsyncIterator[CodeClaimChanged]:
    """The answer of another region to a checkout of this one."""
    answer = received.event
    if not answer.for_checkout or received.region == mesh.region:
        return
    request = await mesh.last(CodeRequested, answer.request_id)
    if request is None or request.event.home != received.region or request.event.code_id != answer.code_id:
        return
    yield CodeClaimChanged(order_id=answer.order_id, code_id=answer.code_id, outcome=answer.outcome, place=answer.place)


@service.answers
async def claim_code(wanted: ClaimCode, codes: Codes) -> CodeClaimed:
    """Reserve a code for an order that is being taken, or give it back because it was not."""
    return await claim(wanted, codes)


@service.every(timedelta(seconds=10))
async def look_at_lists(_: datetime, lists: CodeLists, index: CodeIndex) -> None:
    """The alarm about a list that ran out ends when there are codes again; and the page reads on."""
    await lists.look()
    await index.look()


@service.answers
async def assign_code(wanted: AssignCode, lists: CodeLists) -> CodeAssignment:
    """A code of an imported list for an offer; none where none is left."""
    return await lists.assign(wanted)


@service.http
def app(mesh: Mesh, codes: Codes) -> "Litestar":
    """The redemption API for the shop's servers."""
    from services.promotions.app import build  # noqa: PLC0415  brings Litestar, which other processes do not need

    return build(mesh, codes)


@service.page("/offers", title="Offers and codes", role="viewer", section="Marketing", position=1)
def offers_page(console: "Console", mesh: Mesh, lists: CodeLists, index: CodeIndex) -> list[Any]:
    """Code lists and what is left of them, codes by code, redemptions, and budgets."""
    from services.promotions.page import page_routes  # noqa: PLC0415  see above

    return page_routes(console, mesh, lists, index)
