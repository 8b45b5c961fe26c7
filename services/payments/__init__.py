"""Takes payments: has the payment provider authorise, capture, void and refund, and reports what came of it."""

from mesh import Service
from mesh.events.fraud import FraudCleared
from mesh.events.payment import (
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentFailed,
    PaymentFlagged,
    PaymentReconciled,
    PaymentRefunded,
    PaymentVoided,
)

service = Service(
    "payments",
    publishes=(
        PaymentAuthorised,
        PaymentCaptured,
        PaymentDeclined,
        PaymentFailed,
        PaymentFlagged,
        PaymentReconciled,
        PaymentRefunded,
        PaymentVoided,
        FraudCleared,
    ),
)
