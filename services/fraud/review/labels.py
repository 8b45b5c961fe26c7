"""Labels: what orders turned out to be, by what people decided about flagged payments, and by chargebacks."""

from typing import Literal

from mesh.events.checkout import CheckoutResumed, Decision
from mesh.events.fraud import FraudLabelled
from mesh.events.payment import PaymentChargebackReversed, PaymentChargedBack

Label = Literal["fraud", "legitimate"]
CHECK = "check"
"""The step of the checkout that asks whether an order looks like fraud."""
LABELS: dict[Decision, Label] = {"accept": "legitimate", "undo": "fraud"}
"""What somebody decides about a checkout whose payment was flagged -> what the order is known as from then on."""

FRAUDULENT = frozenset({"fraudulent", "unrecognized"})
"""The reasons of disputes by which an order is fraud: https://docs.stripe.com/disputes/categories"""


def label_of(resumed: CheckoutResumed) -> FraudLabelled | None:
    """The label that follows from a decision about a flagged payment; None for a decision about anything else."""
    label = LABELS.get(resumed.decision)
    if resumed.step != CHECK or label is None:
        return None
    return FraudLabelled(order_id=resumed.order_id, label=label, source="review", author=resumed.author)


def label_of_disputes(newest: PaymentChargedBack | PaymentChargebackReversed) -> FraudLabelled | None:
    """The label by the newest event about a payment's disputes; None where none of them is about fraud."""
    claims = [one for one in newest.payment.chargebacks if one.reason in FRAUDULENT]
    if not claims:
        return None
    label: Label = "legitimate" if all(one.won for one in claims) else "fraud"
    return FraudLabelled(order_id=newest.order_id, label=label, source="chargeback", author=newest.payment.provider)
