"""Steps of a payment: what a request makes the provider do, and the events by which it is answered."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from mesh import History, Mesh, Money, Received
from mesh.event import Event
from mesh.events.payment import (
    PaymentAuthorisationRequested,
    PaymentCaptureRequested,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundRequested,
    PaymentReversalRequested,
    PaymentState,
    PaymentVoided,
    PaymentVoidRequested,
)
from mesh.publish import Change
from services.payments.asking import Asking
from services.payments.fold import ANSWERS, REQUESTS, Payment, appended, fold, held, kept, news, nothing
from services.payments.provider import Authorisation, OutcomeUnknown, Provider, RequestRefused

Request = (
    PaymentAuthorisationRequested
    | PaymentCaptureRequested
    | PaymentVoidRequested
    | PaymentReversalRequested
    | PaymentRefundRequested
)
Step = Literal["authorise", "capture", "void", "refund"]
ASKED_WITHIN = timedelta(minutes=5)
"""An authorisation that has no answer for longer may be asked for by nobody: in a region that was rebuilt."""
BOOKED_WITHIN = timedelta(minutes=5)
"""How long before and after the request its charge is looked for. A day's books may be a million charges."""


async def read_answers(mesh: Mesh, asked: Request) -> tuple[History, Payment]:
    """What was answered of a payment, which is all that a request about it needs to know; as `read_payment`."""
    history = await mesh.history(asked.payment_id, *ANSWERS)
    payment = fold(asked.payment_id, history)
    return history, msgspec.structs.replace(payment, order_id=payment.order_id or asked.order_id)


async def read_payment(mesh: Mesh, payment_id: str, order_id: str = "") -> tuple[History, Payment]:
    """A payment's events and what follows from them. May miss the newest: what is appended is conditional.

    It may miss a request, and with it the order: that is the one the caller names, if it does.
    """
    history = await mesh.history(payment_id, *REQUESTS, *ANSWERS)
    payment = fold(payment_id, history)
    return history, msgspec.structs.replace(payment, order_id=payment.order_id or order_id)


async def authorised(
    received: Received[PaymentAuthorisationRequested], history: History, payment: Payment, asking: Asking, region: str
) -> list[Change]:
    """Hold the amount. A payment that was voided before anybody asked the provider stays untouched."""
    asked, key = received.event, received.event.idempotency_key
    if asked.amount.amount <= 0:
        return _failed(asked, "authorise", "the amount is not above zero", payment, history)
    if payment.ended and not asking.may_have_happened(received, key):
        return _failed(asked, "authorise", "the payment was voided before", payment, history)
    order = Authorisation(
        payment_id=asked.payment_id,
        order_id=asked.order_id,
        region=region,
        amount=asked.amount,
        method=asked.method,
    )
    provider = asking.provider
    try:
        report = await asking.ask(received, key, lambda: provider.authorise(order, key))
    except RequestRefused as refused:
        return _failed(asked, "authorise", str(refused), payment, history)
    return appended(news(payment, report.state, answers=key), history)


async def captured(
    received: Received[PaymentCaptureRequested], history: History, payment: Payment, asking: Asking
) -> list[Change]:
    """Charge what is held."""
    asked, key = received.event, received.event.idempotency_key
    state = payment.state
    if state is None or state.provider_id is None or not state.authorised.amount:
        return _failed(asked, "capture", "nothing was authorised", payment, history)
    if problem := _wrong_amount(asked.amount, state.authorised, "what was authorised"):
        return _failed(asked, "capture", problem, payment, history)
    if payment.ended and not asking.may_have_happened(received, key):
        return _failed(asked, "capture", "the payment was voided before", payment, history)
    provider, named = asking.provider, state.provider_id
    try:
        report = await asking.ask(received, key, lambda: provider.capture(named, asked.amount, key))
    except RequestRefused as refused:
        return _failed(asked, "capture", str(refused), payment, history)
    return appended(news(payment, report.state, answers=key), history)


async def refunded(
    received: Received[PaymentRefundRequested], history: History, payment: Payment, asking: Asking
) -> list[Change]:
    """Pay back a part of what was charged, never more than is left of it."""
    asked, key = received.event, received.event.idempotency_key
    state = payment.state
    if state is None or state.provider_id is None or not state.captured.amount:
        return _failed(asked, "refund", "nothing was charged", payment, history)
    left = Money(amount=payment.kept, currency=state.captured.currency)
    problem = _wrong_amount(asked.amount, left, "what is left of the charge")
    if problem and not asking.may_have_happened(received, key):
        return _failed(asked, "refund", problem, payment, history)
    provider, named = asking.provider, state.provider_id
    try:
        report = await asking.ask(received, key, lambda: provider.refund(named, asked.amount, key))
    except RequestRefused as refused:
        return _failed(asked, "refund", str(refused), payment, history)
    events = news(payment, report.state, answers=key)
    if not any(isinstance(one, PaymentRefunded) for one in events):  # a webhook brought it first, with no key
        events.append(
            PaymentRefunded(payment_id=asked.payment_id, order_id=asked.order_id, payment=report.state, answers=key)
        )
    return appended(events, history)


async def voided(
    received: Received[PaymentVoidRequested | PaymentReversalRequested],
    history: History,
    payment: Payment,
    asking: Asking,
    mesh: Mesh,
) -> list[Change]:
    """End the payment: give back what is held, pay back what was charged.

    Where the provider is not known to have anything, the payment ends as it is. An authorisation that comes later,
    because its outcome was unknown until then, finds the end and is given back. One that was requested long ago is
    looked for in the provider's books.
    """
    asked, key, state = received.event, received.event.idempotency_key, payment.state
    if state is None or state.provider_id is None or not state.authorised.amount:
        requested = await mesh.last(PaymentAuthorisationRequested, asked.payment_id)
        if state is None and requested is None:
            return _failed(asked, "void", "no authorisation was requested", payment, history)
        if state is None and requested and (found := await _in_books(requested, asking.provider)):
            state = found
    if state is None or state.provider_id is None or not state.authorised.amount:
        known = state or nothing(asking.provider.name, requested.event.amount.currency if requested else "")
        ended = PaymentVoided(payment_id=asked.payment_id, order_id=asked.order_id, payment=known, answers=key)
        return appended([ended], history)
    provider, named = asking.provider, state.provider_id
    try:
        report = await asking.ask(received, key, lambda: provider.void(named, key))
    except RequestRefused:  # it was captured, or has ended: what the provider has decides
        report = await asking.ask(received, f"{key}.read", lambda: provider.charge(named))
    if left := kept(report.state):
        amount, again = Money(amount=left, currency=state.captured.currency), f"{key}.refund"
        try:
            report = await asking.ask(received, again, lambda: provider.refund(named, amount, again))
        except RequestRefused as refused:
            return _failed(asked, "void", str(refused), payment, history)
    if held(report.state):
        return _failed(asked, "void", "the provider gives nothing back", payment, history)
    events = news(payment, report.state, answers=key)
    if not events:
        kind = PaymentRefunded if report.state.captured.amount else PaymentVoided
        events.append(kind(payment_id=asked.payment_id, order_id=asked.order_id, payment=report.state, answers=key))
    return appended(events, history)


async def _in_books(requested: Received[PaymentAuthorisationRequested], provider: Provider) -> PaymentState | None:
    """What the provider has for an authorisation that nobody asks for any more; None for one that is asked for.

    None also where the provider does not say: the daily comparison finds what it holds.
    """
    since = requested.event_time
    if datetime.now(UTC) - since < ASKED_WITHIN:
        return None
    with suppress(OutcomeUnknown, RequestRefused):
        async for charge in provider.charges(since - BOOKED_WITHIN, since + BOOKED_WITHIN):
            if charge.payment_id == requested.event.payment_id:
                return charge.state
    return None


def _wrong_amount(amount: Money, most: Money, name: str) -> str | None:
    if amount.currency != most.currency:
        return f"the amount is in {amount.currency}, the payment in {most.currency}"
    if amount.amount <= 0:
        return "the amount is not above zero"
    if amount.amount > most.amount:
        return f"{amount.amount} {amount.currency} is above {name}, {most.amount}"
    return None


def _failed(asked: Request, step: Step, reason: str, payment: Payment, history: History) -> list[Change]:
    failed: Event = PaymentFailed(
        payment_id=asked.payment_id,
        order_id=asked.order_id,
        step=step,
        reason=reason,
        answers=asked.idempotency_key,
        payment=payment.state,
    )
    return [*appended([failed], history)]
