"""Checks for fraud: asked for by the checkout; a payment that looks like fraud is `payment.flagged`."""

from datetime import datetime

from mesh.event import Event, event
from mesh.money import Money


@event(key="order_id")
class FraudCheckRequested(Event):
    """An order is to be judged before it is charged. Persons and addresses are named by digests only.

    `card` is the provider's fingerprint or token of the card, `device` the browser, `address` and `billing_address`
    digests of where the parcel and the bill go, `email` one of the e-mail address. Countries are ISO 3166 codes. What
    is unknown is None.
    """

    order_id: str
    amount: Money
    customer_id: str | None = None
    visitor_id: str | None = None
    card: str | None = None
    device: str | None = None
    address: str | None = None
    email: str | None = None
    account_created: datetime | None = None
    billing_country: str | None = None
    delivery_country: str | None = None
    billing_address: str | None = None


@event(key="order_id")
class FraudCleared(Event):
    """An order was judged, and nothing speaks against it. `answers` is the id of the check's request."""

    order_id: str
    score: int
    answers: str
    rules: tuple[str, ...] = ()
