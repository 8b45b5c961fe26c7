"""Newest: the payments of which something happened last, found from the end of the log."""

from datetime import datetime

import msgspec

from mesh import Mesh, Money, Received
from mesh.event import declaration_of
from mesh.events.payment import PaymentAuthorisationRequested
from services.payments.fold import ANSWERS, Payment, fold

FIRST_LOOK, FURTHER = 2_000, 10
"""How many messages of the stream are looked through at first, and how many times as many where that is too few."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A payment in a list: how it stands, the amount it is about where that is known, and when it changed last."""

    payment: Payment
    status: str
    amount: Money | None
    at: datetime


async def newest_payments(mesh: Mesh, most: int) -> list[Line]:
    """At most so many payments, that of which something happened last first.

    Each answer carries the whole payment, so that the last ones say how it stands.
    """
    kinds = (PaymentAuthorisationRequested, *ANSWERS)
    stream = mesh.stream_of(PaymentAuthorisationRequested)
    domain = declaration_of(PaymentAuthorisationRequested).name.partition(".")[0]
    newest = await mesh.broker.last(stream, f"ev.{mesh.region}.{domain}.>")
    if newest is None:
        return []
    look = FIRST_LOOK
    while True:
        after = max(newest.sequence - look, 0)
        found: dict[str, list[Received]] = {}
        async for one in mesh.read(*kinds, after=after):
            found.setdefault(one.event.payment_id, []).append(one)
        if len(found) >= most or not after:
            break
        look *= FURTHER
    lines = [_line(payment_id, events) for payment_id, events in found.items()]
    return sorted(lines, key=lambda line: line.at, reverse=True)[:most]


def status_of(payment: Payment) -> str:
    """How a payment stands, in words."""
    state = payment.state
    if state is None:
        return "waits for the provider"
    if state.charged_back:
        return "charged back"
    if payment.held:
        return "held"
    if state.captured.amount:
        if not state.refunded.amount:
            return "charged"
        return "partly paid back" if payment.kept else "paid back"
    return "declined" if state.declined else "given back"


def _line(payment_id: str, events: list[Received]) -> Line:
    payment = fold(payment_id, events)
    requested = next((one.event for one in events if isinstance(one.event, PaymentAuthorisationRequested)), None)
    state = payment.state
    amount = state.authorised if state and state.authorised.amount else requested.amount if requested else None
    return Line(payment=payment, status=status_of(payment), amount=amount, at=max(one.stored for one in events))
