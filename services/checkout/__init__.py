"""Brings an order from taken to shipped: reserves stock, checks for fraud, charges, or undoes it all."""

from mesh import Service
from mesh.events.checkout import CheckoutAdvanced, CheckoutParked, CheckoutResumed, CheckoutStepDue
from mesh.events.fraud import FraudCheckRequested
from mesh.events.order import OrderCancellationRequested, OrderConfirmationRequested
from mesh.events.payment import (
    PaymentAuthorisationRequested,
    PaymentCaptureRequested,
    PaymentRefundRequested,
    PaymentVoidRequested,
)
from mesh.events.shipment import ShipmentRequested
from mesh.events.stock import CHECKOUT_REQUESTS

service = Service(
    "checkout",
    publishes=(
        CheckoutAdvanced,
        CheckoutStepDue,
        CheckoutParked,
        CheckoutResumed,
        *CHECKOUT_REQUESTS,
        FraudCheckRequested,
        PaymentAuthorisationRequested,
        PaymentCaptureRequested,
        PaymentVoidRequested,
        PaymentRefundRequested,
        OrderConfirmationRequested,
        OrderCancellationRequested,
        ShipmentRequested,
    ),
    timers=(CheckoutStepDue,),
)
