"""Takes payments: has the payment provider authorise, capture, void and refund, and reports what came of it."""

from mesh import Service
from mesh.events.fraud import FraudCheckRequested, FraudCleared
from mesh.events.payment import (
    PaymentAuthorisationRequested,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureRequested,
    PaymentDeclined,
    PaymentFailed,
    PaymentFlagged,
    PaymentReconciled,
    PaymentRefunded,
    PaymentRefundRequested,
    PaymentVoided,
    PaymentVoidRequested,
)

service = Service(
    "payments",
    publishes=(
        PaymentAuthorisationRequested,
        PaymentAuthorised,
        PaymentCaptureRequested,
        PaymentCaptured,
        PaymentDeclined,
        PaymentFailed,
        PaymentFlagged,
        PaymentReconciled,
        PaymentRefunded,
        PaymentRefundRequested,
        PaymentVoided,
        PaymentVoidRequested,
        FraudCheckRequested,
        FraudCleared,
    ),
)
