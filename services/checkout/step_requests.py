"""Step requests: what each step of a checkout asks for, and what there is to ask for. Pure functions of its state."""

import msgspec

from mesh import Event, Money
from mesh.events.checkout import CheckoutAdvanced as State
from mesh.events.checkout import CheckoutStockRequested, StockAction
from mesh.events.code import CodeAction, CodeClaimRequested
from mesh.events.fraud import FraudCheckRequested
from mesh.events.payment import (
    PaymentAuthorisationRequested,
    PaymentCaptureRequested,
    PaymentRefundRequested,
    PaymentVoidRequested,
)
from mesh.events.shipment import ShipmentRequested


def has_code(state: State) -> bool:
    """Whether the order was taken with a code."""
    return state.code is not None


def claim_code(state: State, action: CodeAction) -> Event:
    """The order's code is to be kept for it, redeemed, or given back."""
    return CodeClaimRequested(
        order_id=state.order_id,
        action=action,
        code_id=state.code.code_id if state.code else "",
        home=state.code.home if state.code else "",
        customer_id=state.customer_id,
        amount=state.total,
    )


def request_stock(state: State, action: StockAction) -> Event:
    """The order's stock is to be reserved, released or sold."""
    return CheckoutStockRequested(order_id=state.order_id, action=action, reason=(state.failure or "")[:512])


def check_for_fraud(state: State) -> Event:
    """The order is to be judged. Of its buyer the check gets digests alone."""
    facts = msgspec.structs.asdict(state.buyer) if state.buyer else {}
    return FraudCheckRequested(
        order_id=state.order_id,
        amount=state.total,
        customer_id=state.customer_id,
        visitor_id=state.visitor_id,
        device=state.visitor_id,
        card=state.payment_method,
        **facts,
    )


def authorise(state: State) -> Event:
    """The whole order is to be held on the card."""
    return PaymentAuthorisationRequested(
        payment_id=state.order_id,
        order_id=state.order_id,
        amount=state.total,
        method=state.payment_method,
        idempotency_key=f"{state.order_id}-authorise",
        customer_id=state.customer_id,
    )


def capture(state: State) -> Event:
    """What is not cancelled is to be charged."""
    return PaymentCaptureRequested(
        payment_id=state.order_id,
        order_id=state.order_id,
        amount=state.total,
        idempotency_key=f"{state.order_id}-capture",
    )


def void(state: State) -> Event:
    """The payment is to end. A payment that changed since is asked to end again, under another key."""
    return PaymentVoidRequested(
        payment_id=state.order_id,
        order_id=state.order_id,
        idempotency_key=f"{state.order_id}-void-{state.places.get('payment', 0)}",
        reason=state.failure or "",
    )


def refund(state: State) -> Event:
    """What was charged and is owed back, because pieces were cancelled or returned."""
    refunded = state.payment.refunded.amount if state.payment else 0
    return PaymentRefundRequested(
        payment_id=state.order_id,
        order_id=state.order_id,
        amount=Money(amount=owed(state), currency=state.total.currency),
        idempotency_key=f"{state.order_id}-refund-{refunded + owed(state)}",
    )


def ship(state: State) -> Event:
    """The parcel; its lines and address are filled in where the order is read."""
    return ShipmentRequested(order_id=state.order_id, lines=())


def owed(state: State) -> int:
    """What the shop has of the payment beyond what the order costs now, in minor units."""
    if state.payment is None:
        return 0
    has = state.payment.captured.amount - state.payment.refunded.amount - state.payment.charged_back
    return max(0, has - (state.total.amount - state.returned))


def is_unsettled(state: State) -> bool:
    """Whether something of the payment is held or charged, or may be because nobody has answered."""
    answer, paid = state.answers.get("payment"), state.payment
    if answer is None:
        return "authorise" in state.asked
    if paid is None:
        return False
    held = paid.authorised.amount - paid.captured.amount - paid.released.amount
    return held > 0 or paid.captured.amount - paid.charged_back > paid.refunded.amount


def holds_stock(state: State) -> bool:
    """Whether stock is reserved, or may be because nobody has answered."""
    answer = state.answers.get("stock")
    return "reserve" in state.asked if answer is None else answer == "stock.reserved"
