"""The life of a payment: asked for by the checkout, answered by the payments service as the provider reports.

Each answer carries the whole payment, so that the newest one is its state. Amounts only grow: what a payment holds on
a card is `authorised` less `captured` less `released`; what the shop has of it is `captured` less `refunded` and less
what banks took back in disputes.
"""

from typing import Literal

import msgspec

from mesh.event import Event, event
from mesh.events.fraud import FraudModelScore
from mesh.money import Money

PaymentStep = Literal["authorise", "capture", "void", "refund"]
"""What can be asked of a payment."""


class Chargeback(msgspec.Struct, frozen=True, kw_only=True):
    """What the shopper's bank took back in a dispute. Where the shop has `won` that, it has the money again.

    `reason` is the provider's, such as `fraudulent` or `product_not_received`.
    """

    dispute_id: str
    amount: Money
    reason: str
    won: bool = False


class PaymentState(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the provider reports it, amounts so far and each at least as large as before.

    `provider_id` names it at the `provider`, and is None while the provider has none for it. `released` is what was
    authorised and given back without having been charged. `declined` is the provider's reason, where it declined.
    `chargebacks` are by their disputes' ids.
    """

    provider: str
    authorised: Money
    captured: Money
    released: Money
    refunded: Money
    provider_id: str | None = None
    declined: str | None = None
    chargebacks: tuple[Chargeback, ...] = ()

    @property
    def charged_back(self) -> int:
        """What banks took back and did not return, in minor units."""
        return sum(one.amount.amount for one in self.chargebacks if not one.won)


@event(key="payment_id")
class PaymentAuthorisationRequested(Event):
    """An amount is to be held on a payment method, to be captured later.

    `method` is the provider's token of a card, never a card's number. `idempotency_key` follows from order and step:
    the provider does what is asked under one key once.
    """

    payment_id: str
    order_id: str
    amount: Money
    method: str
    idempotency_key: str
    customer_id: str | None = None


@event(key="payment_id")
class PaymentCaptureRequested(Event):
    """An authorised amount is to be charged, whole or in part; what is left of it is given back."""

    payment_id: str
    order_id: str
    amount: Money
    idempotency_key: str


@event(key="payment_id")
class PaymentVoidRequested(Event):
    """A payment is to end: what is held is given back, what was charged already is refunded."""

    payment_id: str
    order_id: str
    idempotency_key: str
    reason: str = ""


@event(key="payment_id")
class PaymentReversalRequested(Event):
    """Money came to a payment that had ended, as by a late answer: what is held or charged is to be given back."""

    payment_id: str
    order_id: str
    idempotency_key: str
    reason: str = ""


@event(key="payment_id")
class PaymentRefundRequested(Event):
    """A part of what was charged is to be paid back, or all of it."""

    payment_id: str
    order_id: str
    amount: Money
    idempotency_key: str
    reason: str = ""


@event(key="payment_id")
class PaymentAuthorised(Event):
    """The provider holds an amount on the shopper's card. `answers` is the request's key, where one is answered."""

    payment_id: str
    order_id: str
    payment: PaymentState
    answers: str | None = None


@event(key="payment_id")
class PaymentDeclined(Event):
    """The provider or the card's bank declined: nothing is held. `reason` is the provider's, such as card_declined."""

    payment_id: str
    order_id: str
    payment: PaymentState
    reason: str
    answers: str | None = None


@event(key="payment_id")
class PaymentCaptured(Event):
    """The shopper was charged."""

    payment_id: str
    order_id: str
    payment: PaymentState
    answers: str | None = None


@event(key="payment_id")
class PaymentVoided(Event):
    """A payment has ended without a charge: nothing is held, and nothing will be.

    It is published as well where nothing had been authorised yet; an authorisation that comes later is given back.
    """

    payment_id: str
    order_id: str
    payment: PaymentState
    answers: str | None = None


@event(key="payment_id")
class PaymentRefunded(Event):
    """An amount was paid back to the shopper; `payment.refunded` is all that was paid back so far."""

    payment_id: str
    order_id: str
    payment: PaymentState
    answers: str | None = None


@event(key="payment_id")
class PaymentChargedBack(Event):
    """The shopper's bank took an amount of a charge back, in a dispute, for a reason such as `fraudulent`."""

    payment_id: str
    order_id: str
    payment: PaymentState
    dispute_id: str
    amount: Money
    reason: str


@event(key="payment_id")
class PaymentChargebackReversed(Event):
    """A dispute was won: the amount that was charged back is the shop's again."""

    payment_id: str
    order_id: str
    payment: PaymentState
    dispute_id: str
    amount: Money
    reason: str


@event(key="payment_id")
class PaymentFailed(Event):
    """A request about a payment cannot be carried out, and the payment is as it was. `reason` says why."""

    payment_id: str
    order_id: str
    step: PaymentStep
    reason: str
    answers: str
    payment: PaymentState | None = None


@event(key="order_id")
class PaymentFlagged(Event):
    """An order's payment looks like fraud: the checkout leaves it to a person, or ends it. `reasons` say why.

    `score` is the sum of the weights of the rules that matched, and `rules` their names. `answers` is the id of the
    check's request. `features`, `model` and `candidate` are as in `FraudCleared`.
    """

    order_id: str
    score: int
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    answers: str
    features: dict[str, float] = msgspec.field(default_factory=dict)
    model: FraudModelScore | None = None
    candidate: FraudModelScore | None = None


class PaymentDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider's books and the log do not agree on.

    `charge_without_order`: the provider charged or holds money for an order that is not confirmed.
    `order_without_charge`: an order is confirmed, and the provider has no money for it.
    `amounts_differ`: both know the payment, with other amounts.
    """

    kind: Literal["charge_without_order", "order_without_charge", "amounts_differ"]
    detail: str
    payment_id: str | None = None
    order_id: str | None = None
    provider_id: str | None = None


@event(key="day")
class PaymentReconciled(Event):
    """The provider's books of one day were compared with this region's orders and payments.

    `day` is such as 2026-05-01 (UTC); `compared` counts the charges. Orders were read up to `sequence`.
    """

    day: str
    provider: str
    compared: int
    differences: tuple[PaymentDifference, ...]
    sequence: int = 0
