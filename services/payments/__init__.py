"""Takes payments: has the payment provider authorise, capture, void and refund, and reports what came of it."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from mesh import Mesh, Received, Service, Unchanged
from mesh.events.payment import (
    PaymentAuthorisationRequested,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureRequested,
    PaymentChargebackReversed,
    PaymentChargedBack,
    PaymentDeclined,
    PaymentFailed,
    PaymentReconciled,
    PaymentRefunded,
    PaymentRefundRequested,
    PaymentReversalRequested,
    PaymentVoided,
    PaymentVoidRequested,
)
from mesh.observability.logs import log
from mesh.publish import Change
from services.payments import steps
from services.payments.asking import Asking
from services.payments.reconciliation import Day, reconcile

if TYPE_CHECKING:
    from litestar import Litestar

    from mesh.web.console import Console

service = Service(
    "payments",
    publishes=(
        PaymentAuthorised,
        PaymentCaptured,
        PaymentChargebackReversed,
        PaymentChargedBack,
        PaymentDeclined,
        PaymentFailed,
        PaymentReconciled,
        PaymentRefunded,
        PaymentReversalRequested,
        PaymentVoided,
    ),
    port=8150,
)

REDELIVERED_AFTER = timedelta(seconds=30)
"""Longer than the provider's deadline, so that a slow answer is not asked for twice at once."""


@service.resource
async def open_asking() -> AsyncIterator[Asking]:
    """The payment provider of the settings."""
    from services.payments.configured import open_provider, payment_settings  # noqa: PLC0415  only who runs it

    async with open_provider(payment_settings()) as provider:
        yield Asking(provider)


@service.on(PaymentAuthorisationRequested, concurrency=64, ack_wait=REDELIVERED_AFTER)
async def authorise_payment(
    received: Received[PaymentAuthorisationRequested], mesh: Mesh, asking: Asking
) -> AsyncIterator[Change]:
    """Have the provider hold the amount. What it answers after the payment was voided is given back."""
    history, payment = await steps.read_answers(mesh, received.event)
    if received.event.idempotency_key not in payment.answered:
        for change in await steps.authorised(received, history, payment, asking, mesh.region):
            yield change


@service.on(PaymentCaptureRequested, concurrency=64, ack_wait=REDELIVERED_AFTER)
async def capture_payment(
    received: Received[PaymentCaptureRequested], mesh: Mesh, asking: Asking
) -> AsyncIterator[Change]:
    """Have the provider charge what it holds."""
    history, payment = await steps.read_answers(mesh, received.event)
    if received.event.idempotency_key not in payment.answered:
        for change in await steps.captured(received, history, payment, asking):
            yield change


@service.on(PaymentVoidRequested, PaymentReversalRequested, concurrency=64, ack_wait=REDELIVERED_AFTER)
async def void_payment(
    received: Received[PaymentVoidRequested | PaymentReversalRequested], mesh: Mesh, asking: Asking
) -> AsyncIterator[Change]:
    """End a payment: give back what is held, pay back what was charged. So also with what came after its end."""
    history, payment = await steps.read_answers(mesh, received.event)
    if received.event.idempotency_key not in payment.answered:
        for change in await steps.voided(received, history, payment, asking, mesh):
            yield change


@service.on(PaymentRefundRequested, concurrency=64, ack_wait=REDELIVERED_AFTER)
async def refund_payment(
    received: Received[PaymentRefundRequested], mesh: Mesh, asking: Asking
) -> AsyncIterator[Change]:
    """Have the provider pay back a part of the charge, never more than is left of it."""
    history, payment = await steps.read_answers(mesh, received.event)
    if received.event.idempotency_key not in payment.answered:
        for change in await steps.refunded(received, history, payment, asking):
            yield change


@service.http
def webhooks(mesh: Mesh, asking: Asking) -> "Litestar":
    """The route that the provider's webhooks come to."""
    from services.payments.configured import payment_settings  # noqa: PLC0415  see above
    from services.payments.webhooks import app  # noqa: PLC0415  brings Litestar, which other processes do not need

    settings = payment_settings()
    return app(mesh, asking, settings.payment_webhook_secrets, settings.payment_webhook_tolerance)


@service.every(timedelta(hours=1))
async def reconcile_daily(tick: datetime, mesh: Mesh, asking: Asking) -> AsyncIterator[Change]:
    """Compare the provider's books of yesterday (UTC) with the log, from one in the morning on, until it is done."""
    day = tick.date() - timedelta(days=1)
    if tick.hour < 1 or asking.configured is None or await mesh.last(PaymentReconciled, str(day)):
        return
    found = await reconcile(day, mesh, asking.configured)
    for one in found.differences:
        log.error("the provider's books and the log differ", **msgspec.structs.asdict(one))
    yield found
    yield Unchanged(PaymentReconciled, str(day), 0)


@service.answers
async def reconcile_day(asked: Day, mesh: Mesh, asking: Asking) -> PaymentReconciled:
    """The same for a day that somebody asks for. It is shown to them, and not stored."""
    return await reconcile(asked.day, mesh, asking.provider)


@service.page("/payments", title="Payments", role="viewer", section="Shop")
def payments_page(console: "Console", mesh: Mesh, asking: Asking) -> list[Any]:
    """What is held, charged and paid back for each order, and where the provider's books differ from the orders."""
    from services.payments.page import page_routes  # noqa: PLC0415  brings Litestar, which other processes do not need

    return page_routes(console, mesh, asking)
