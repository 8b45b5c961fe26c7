"""Fold: what is true of a payment, from its events in any order and any number of times.

Amounts only grow, so each is a maximum, and a dispute that was won stays so: the order in which responses, webhooks and
events come makes no difference.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from mesh import History, Money, Received, Unchanged
from mesh.event import Event
from mesh.events.payment import (
    Chargeback,
    PaymentAuthorisationRequested,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureRequested,
    PaymentChargebackReversed,
    PaymentChargedBack,
    PaymentDeclined,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundRequested,
    PaymentReversalRequested,
    PaymentState,
    PaymentVoided,
    PaymentVoidRequested,
)

Reported = (
    PaymentAuthorised
    | PaymentDeclined
    | PaymentCaptured
    | PaymentVoided
    | PaymentRefunded
    | PaymentChargedBack
    | PaymentChargebackReversed
)
REPORTED: tuple[type[Event], ...] = (
    PaymentAuthorised,
    PaymentDeclined,
    PaymentCaptured,
    PaymentVoided,
    PaymentRefunded,
    PaymentChargedBack,
    PaymentChargebackReversed,
)
ANSWERS: tuple[type[Event], ...] = (*REPORTED, PaymentFailed)
REQUESTS: tuple[type[Event], ...] = (
    PaymentAuthorisationRequested,
    PaymentCaptureRequested,
    PaymentVoidRequested,
    PaymentReversalRequested,
    PaymentRefundRequested,
)

WATCHED: dict[type[Event], tuple[type[Event], ...]] = {
    PaymentAuthorised: (PaymentAuthorised, PaymentVoided),
    PaymentDeclined: (PaymentDeclined, PaymentAuthorised),
    PaymentCaptured: (PaymentCaptured, PaymentVoided),
    PaymentVoided: (PaymentVoided, PaymentAuthorised, PaymentCaptured),
    PaymentRefunded: (PaymentRefunded,),
    PaymentChargedBack: (PaymentChargedBack, PaymentChargebackReversed),
    PaymentChargebackReversed: (PaymentChargedBack, PaymentChargebackReversed),
    PaymentFailed: REPORTED,
}
"""What must not have happened meanwhile where such an event is appended: what it was decided from."""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as it is now. `answered` are the keys of requests that have their answer; `ended`: it was voided."""

    payment_id: str
    order_id: str = ""
    state: PaymentState | None = None
    answered: frozenset[str] = frozenset()
    ended: bool = False

    @property
    def held(self) -> int:
        """What is held on the card and not charged, in minor units."""
        return held(self.state) if self.state else 0

    @property
    def kept(self) -> int:
        """What was charged and not paid or charged back, in minor units."""
        return kept(self.state) if self.state else 0


def held(state: PaymentState) -> int:
    """What is held on the card and not charged, in minor units."""
    return max(state.authorised.amount - state.captured.amount - state.released.amount, 0)


def kept(state: PaymentState) -> int:
    """What was charged and not paid or charged back, in minor units."""
    return max(state.captured.amount - state.refunded.amount - state.charged_back, 0)


def nothing(provider: str, currency: str) -> PaymentState:
    """The state of a payment of which the provider knows nothing."""
    zero = Money(amount=0, currency=currency)
    return PaymentState(provider=provider, authorised=zero, captured=zero, released=zero, refunded=zero)


def joined(one: PaymentState | None, other: PaymentState) -> PaymentState:
    """What both together say. ValueError where they are not of one currency."""
    if one is None:
        return other
    if one.authorised.currency != other.authorised.currency:
        raise ValueError(f"a payment in {one.authorised.currency} was reported in {other.authorised.currency}")

    def larger(name: str) -> Money:
        return max(getattr(one, name), getattr(other, name), key=lambda money: money.amount)

    return PaymentState(
        provider=other.provider,
        authorised=larger("authorised"),
        captured=larger("captured"),
        released=larger("released"),
        refunded=larger("refunded"),
        provider_id=one.provider_id or other.provider_id,
        declined=one.declined or other.declined,
        chargebacks=_chargebacks(*one.chargebacks, *other.chargebacks),
    )


def _chargebacks(*reported: Chargeback) -> tuple[Chargeback, ...]:
    """One of each dispute: as it was won, where any report says so."""
    found = {one.dispute_id: one for one in sorted(reported, key=lambda chargeback: chargeback.won)}
    return tuple(found[dispute_id] for dispute_id in sorted(found))


def fold(payment_id: str, events: Iterable[Received]) -> Payment:
    """The payment after these events; others change nothing."""
    payment = Payment(payment_id=payment_id)
    for received in events:
        happened = received.event
        if isinstance(happened, ANSWERS):
            payment = _after(payment, happened)
        elif isinstance(happened, REQUESTS):
            payment = msgspec.structs.replace(payment, order_id=payment.order_id or happened.order_id)
    return payment


def _after(payment: Payment, happened: Reported | PaymentFailed) -> Payment:
    answered = getattr(happened, "answers", None)  # nothing requests a chargeback
    answers = {answered} if answered else set()
    failed = isinstance(happened, PaymentFailed)
    return msgspec.structs.replace(
        payment,
        order_id=happened.order_id,
        state=payment.state if failed else joined(payment.state, happened.payment),
        answered=payment.answered | answers,
        ended=payment.ended or isinstance(happened, PaymentVoided),
    )


def news(payment: Payment, reported: PaymentState, *, answers: str | None = None) -> list[Event]:
    """The events by which a payment comes to what was reported; none where it is known already.

    One that skips a step, because its webhooks came in another order, has the events of the steps before it too. What
    comes for a payment that has ended is given back: that is requested in the same commit.
    """
    before = payment.state or nothing(reported.provider, reported.authorised.currency)
    after = joined(payment.state, reported)
    named = {"payment_id": payment.payment_id, "order_id": payment.order_id, "payment": after, "answers": answers}

    def grown(name: str) -> bool:
        return getattr(after, name).amount > getattr(before, name).amount

    events: list[Event] = []
    if after.declined and not before.declined and not after.authorised.amount:
        events.append(PaymentDeclined(**named, reason=after.declined))
    if grown("authorised"):
        events.append(PaymentAuthorised(**named))
    if grown("captured"):
        events.append(PaymentCaptured(**named))
    if grown("released") and not after.captured.amount:
        events.append(PaymentVoided(**named))
    if grown("refunded"):
        events.append(PaymentRefunded(**named))
    events += _disputed(payment, before, after)
    if events and payment.ended and (held(after) or kept(after)):
        late = f"{payment.payment_id}.late.{after.authorised.amount}.{after.captured.amount}"
        events.append(
            PaymentReversalRequested(
                payment_id=payment.payment_id,
                order_id=payment.order_id,
                idempotency_key=late,
                reason="it came after the payment had been voided",
            )
        )
    return events


def _disputed(payment: Payment, before: PaymentState, after: PaymentState) -> list[Event]:
    """What is new of disputes: those that were opened, and those that were won."""
    known = {one.dispute_id: one.won for one in before.chargebacks}
    events: list[Event] = []
    for one in after.chargebacks:
        named: dict[str, Any] = {
            "payment_id": payment.payment_id,
            "order_id": payment.order_id,
            "payment": after,
            "dispute_id": one.dispute_id,
            "amount": one.amount,
            "reason": one.reason,
        }
        if one.dispute_id not in known:
            events.append(PaymentChargedBack(**named))
        if one.won and not known.get(one.dispute_id):
            events.append(PaymentChargebackReversed(**named))
    return events


def appended(events: list[Event], history: History) -> list[Event | Unchanged]:
    """The events, on condition that what they were decided from is unchanged."""
    watched = dict.fromkeys(kind for one in events for kind in WATCHED.get(type(one), ()))
    return [*events, *history.unchanged(*watched)]
