"""Reconciliation: the provider's books of a day beside the orders and payments of this region's log."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from mesh import Mesh
from mesh.events.order import OrderConfirmed, OrderCreated
from mesh.events.payment import PaymentDifference, PaymentReconciled, PaymentState
from services.payments.fold import held, kept
from services.payments.provider import Charge, Provider, RequestRefused
from services.payments.steps import read_payment

AMOUNTS = ("authorised", "captured", "released", "refunded")


async def reconcile(day: date, mesh: Mesh, provider: Provider) -> PaymentReconciled:
    """Every charge of a day (UTC), and every order confirmed on it, each looked for on the other side.

    Both sides are read as they are now, so a refund of a later day is no difference. An order that the shop's own
    server confirmed, and that was not taken by this mesh's orders, is paid elsewhere. Raises what the provider raises.
    """
    since = datetime.combine(day, time(), UTC)
    until = since + timedelta(days=1)
    differences: list[PaymentDifference] = []
    paid: set[str] = set()
    compared = 0
    async for charge in provider.charges(since, until):
        if charge.region == mesh.region:
            compared += 1
            if held(charge.state) or charge.state.captured.amount:
                paid.add(charge.order_id)
            differences += [one async for one in _of_charge(charge, mesh, provider)]
    before = await mesh.last(PaymentReconciled, str(day - timedelta(days=1)))
    read_to = before.event.sequence if before else 0
    async for confirmed in mesh.read(OrderConfirmed, after=read_to):
        if confirmed.stored >= until:
            break
        read_to = confirmed.sequence
        if confirmed.stored >= since and confirmed.event.order_id not in paid:
            differences += [one async for one in _of_order(confirmed.event, mesh, provider)]
    return PaymentReconciled(
        day=str(day), provider=provider.name, compared=compared, differences=tuple(differences), sequence=read_to
    )


async def _of_charge(charge: Charge, mesh: Mesh, provider: Provider) -> AsyncIterator[PaymentDifference]:
    confirmed = await mesh.last(OrderConfirmed, charge.order_id) if charge.order_id else None
    state = charge.state
    named = {"payment_id": charge.payment_id, "order_id": charge.order_id, "provider_id": state.provider_id}
    if (has := held(state) + kept(state)) and confirmed is None:
        detail = f"{has} {state.captured.currency} (minor units) for an order that is not confirmed"
        yield PaymentDifference(kind="charge_without_order", detail=detail, **named)
    if confirmed and state.captured.amount > confirmed.event.total.amount:
        detail = f"charged {state.captured.amount}, the order's total is {confirmed.event.total.amount}"
        yield PaymentDifference(kind="amounts_differ", detail=detail, **named)
    if detail := await _not_in_log(charge, mesh, provider):
        yield PaymentDifference(kind="amounts_differ", detail=detail, **named)


async def _not_in_log(charge: Charge, mesh: Mesh, provider: Provider) -> str:
    """In what provider and log differ about a charge; looked at twice, as something may be under way."""
    for look in (1, 2):
        _, payment = await read_payment(mesh, charge.payment_id)
        if look == 2 and charge.state.provider_id:
            charge = await provider.charge(charge.state.provider_id)
        differing = _unequal(charge.state, payment.state)
        if not differing:
            return ""
    return differing


def _unequal(books: PaymentState, log: PaymentState | None) -> str:
    if log is None:
        return "the log knows nothing of it" if held(books) or kept(books) else ""
    parts = [
        f"{name} {getattr(books, name).amount} in the books, {getattr(log, name).amount} in the log"
        for name in AMOUNTS
        if getattr(books, name) != getattr(log, name)
    ]
    if books.chargebacks and books.charged_back != log.charged_back:
        parts.append(f"charged back {books.charged_back} in the books, {log.charged_back} in the log")
    return "; ".join(parts)


async def _of_order(order: OrderConfirmed, mesh: Mesh, provider: Provider) -> AsyncIterator[PaymentDifference]:
    """An order for which the day's books hold nothing: it may have been paid on another day."""
    _, payment = await read_payment(mesh, order.order_id)
    named = {"order_id": order.order_id, "payment_id": order.order_id}
    if payment.state is None or payment.state.provider_id is None:
        if payment.order_id or await mesh.last(OrderCreated, order.order_id):
            detail = f"{order.total.amount} {order.total.currency} (minor units) were never authorised"
            yield PaymentDifference(kind="order_without_charge", detail=detail, **named)
        return
    try:
        state = (await provider.charge(payment.state.provider_id)).state
    except RequestRefused:
        state = None
    if state is None or not (held(state) or state.captured.amount):
        detail = "the provider does not know the charge" if state is None else "nothing is held or charged"
        yield PaymentDifference(
            kind="order_without_charge", detail=detail, provider_id=payment.state.provider_id, **named
        )


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """Which day is to be compared, such as 2026-05-01 (UTC)."""

    day: date
