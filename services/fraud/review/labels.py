"""Labels: what orders turned out to be, by what people decided about flagged payments."""

from typing import Literal

from mesh.events.checkout import CheckoutResumed, Decision
from mesh.events.fraud import FraudLabelled

Label = Literal["fraud", "legitimate"]
CHECK = "check"
"""The step of the checkout that asks whether an order looks like fraud."""
LABELS: dict[Decision, Label] = {"accept": "legitimate", "undo": "fraud"}
"""What somebody decides about a checkout whose payment was flagged -> what the order is known as from then on."""


def label_of(resumed: CheckoutResumed) -> FraudLabelled | None:
    """The label that follows from a decision about a flagged payment; None for a decision about anything else."""
    label = LABELS.get(resumed.decision)
    if resumed.step != CHECK or label is None:
        return None
    return FraudLabelled(order_id=resumed.order_id, label=label, source="review", author=resumed.author)
