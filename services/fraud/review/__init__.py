"""Has people review orders that look like fraud, and edit the rules: with a trial on the log, and in shadow."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from mesh import Mesh, Received, Service
from mesh.events.checkout import CheckoutResumed
from mesh.events.fraud import FraudLabelled, FraudRulesPublished
from mesh.events.payment import PaymentChargebackReversed, PaymentChargedBack, PaymentFlagged
from mesh.fraud_model import FRAUD_MODELS
from mesh.publish import Change
from services.fraud.current_rules import FRAUD_RULES
from services.fraud.review.labels import label_of, label_of_disputes

if TYPE_CHECKING:
    from mesh.web.console import Console

service = Service(
    "fraud-review",
    publishes=(FraudLabelled, FraudRulesPublished),
    buckets=(FRAUD_RULES,),
    views=(FRAUD_MODELS,),
    asks=("checkout",),
    port=8180,
)


@service.on(CheckoutResumed)
async def label_reviewed_order(resumed: CheckoutResumed, mesh: Mesh) -> AsyncIterator[FraudLabelled]:
    """What somebody decided about a flagged payment, here, among the orders or by command, is the order's label."""
    label = label_of(resumed)
    if label is not None and await mesh.last(PaymentFlagged, resumed.order_id) is not None:
        yield label


@service.on(PaymentChargedBack, PaymentChargebackReversed)
async def label_charged_back_order(
    received: Received[PaymentChargedBack | PaymentChargebackReversed], mesh: Mesh
) -> AsyncIterator[Change]:
    """A bank that takes a payment back for fraud labels the order; a dispute that was won reverses that.

    The newest event about the payment's disputes decides, whichever is handled last.
    """
    disputes = (PaymentChargedBack, PaymentChargebackReversed)
    history = await mesh.history(received.event.payment_id, *disputes)
    newest = max((received, *history), key=lambda one: one.sequence)
    label = label_of_disputes(newest.event)
    if label is not None:
        yield label
        for unchanged in history.unchanged(*disputes):
            yield unchanged


@service.page("/fraud", title="Fraud", role="viewer", section="Shop")
def fraud_pages(console: "Console", mesh: Mesh) -> list[Any]:
    """Payments that look like fraud and wait for a person; the rules, tried on past orders before they decide."""
    from services.fraud.review.queue import queue_routes  # noqa: PLC0415  brings Litestar, which others do not need
    from services.fraud.review.rules_page import rules_routes  # noqa: PLC0415  the same

    return [*queue_routes(console, mesh), *rules_routes(console, mesh)]
