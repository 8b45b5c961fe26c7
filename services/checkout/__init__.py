"""Brings an order from taken to shipped: reserves stock, checks for fraud, charges, or undoes it all."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from mesh import Event, Mesh, Received, Retry, Service, Unchanged, settings
from mesh.errors import MeshError
from mesh.events.checkout import (
    CheckoutAdvanced,
    CheckoutParked,
    CheckoutResumed,
    CheckoutStepDue,
    CheckoutStockRequested,
    Parked,
    ParkedCheckouts,
    Resume,
    Resumed,
)
from mesh.events.checkout import CheckoutAdvanced as State
from mesh.events.code import CodeClaimRequested
from mesh.events.fraud import FraudCheckRequested
from mesh.events.order import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmationRequested,
    OrderCreated,
    OrderedPieces,
    OrderReaddressed,
)
from mesh.events.payment import (
    PaymentAuthorisationRequested,
    PaymentCaptureRequested,
    PaymentRefundRequested,
    PaymentVoidRequested,
)
from mesh.events.shipment import ShipmentRequested
from mesh.events.stock import (
    CHECKOUT_REQUESTS,
    StockLine,
    StockReleaseRequested,
    StockReservationRequested,
    StockSaleRequested,
)
from mesh.observability.logs import log
from mesh.publish import Change, WhenStored
from services.checkout.limits import limited
from services.checkout.memory import Known, StateMemory
from services.checkout.parking import events_behind, parked_checkouts, store_decision
from services.checkout.saga import ANSWERS, KINDS, Move, answered_late, begun, is_overdue, learned, move, park, wait
from services.checkout.steps import CheckoutSettings, Table, table

service = Service(
    "checkout",
    publishes=(
        CheckoutAdvanced,
        CheckoutStepDue,
        CheckoutStockRequested,
        CheckoutParked,
        CheckoutResumed,
        *CHECKOUT_REQUESTS,
        CodeClaimRequested,
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
STALE_READ = timedelta(milliseconds=200)
"""When to read again after a follower answered that has not applied what was just consumed."""
PARKED_AFTER = 5
"""How often an event is tried whose handling fails for a defect, before its checkout is parked with it."""


class Steps(msgspec.Struct, frozen=True):
    """The checkout as it was declared when the service started, and what this process remembers."""

    settings: CheckoutSettings
    table: Any
    memory: StateMemory | None = None


@service.resource
async def read_steps() -> AsyncIterator[Steps]:
    """The table of steps, with the settings."""
    chosen = settings.read(CheckoutSettings)
    yield Steps(chosen, table(chosen), StateMemory())


@service.on(*KINDS, concurrency=32)
async def advance_checkout(received: Received, mesh: Mesh, steps: Steps) -> AsyncIterator[Change]:
    """A checkout takes its next step, which is stored once: with its requests, its timer, and if no other did."""
    known = steps.memory.take(received) if steps.memory else None
    changes = await _next_step(known, received, mesh, steps) if known else []
    if not changes:  # also where what is remembered says that there is nothing to do: it may be outdated
        stored = await mesh.last(CheckoutAdvanced, received.event.order_id)
        known = Known(stored.event, stored.sequence) if stored else Known(None, 0)
        changes = await _next_step(known, received, mesh, steps)
        if steps.memory:
            steps.memory.settle(received)
    for change in changes:
        yield change
    if steps.memory and changes:
        yield WhenStored(changes[0], partial(steps.memory.note, changes[0]))


async def _next_step(known: Known, received: Received, mesh: Mesh, steps: Steps) -> list[Any]:
    """The next state and what belongs to its commit; nothing where the event changes nothing."""
    order_id = received.event.order_id
    before = known.state or await _begun(received, mesh, steps.table)
    if before is None:
        return []  # the order of somebody who reports orders, and checks out elsewhere
    if isinstance(received.event, CheckoutStepDue):
        before = msgspec.structs.replace(before, timer=None)  # this one is over
    made = await _moved(before, received, mesh, steps.table)
    conditions: list[Unchanged] = []
    if any(isinstance(one, ShipmentRequested) for one in made.requests):
        made, conditions = await _shipped(before, made, received, mesh, steps.table)
    state, limits = limited(made.state, steps.table, datetime.now(UTC))
    if known.state and state == msgspec.structs.replace(known.state, requested=None):
        return []
    requests = [_with_lines(one, received) for one in made.requests]
    newly = state.parked not in (None, before.parked)
    parked = [CheckoutParked(order_id=order_id, step=state.step, reason=state.parked or "")] if newly else []
    return [state, Unchanged(CheckoutAdvanced, order_id, known.sequence), *conditions, *requests, *parked, *limits]


def _with_lines(request: Event, received: Received) -> Event:
    """A request of a new order's stock says what it is of, so that nobody need read the order."""
    if not (isinstance(request, CheckoutStockRequested) and isinstance(received.event, OrderCreated)):
        return request
    return msgspec.structs.replace(request, lines=_stock_lines(received.event))


def _stock_lines(created: OrderCreated) -> tuple[StockLine, ...]:
    return tuple(StockLine(sku=one.product_id, quantity=one.quantity) for one in created.lines)


@service.on(CheckoutStockRequested, concurrency=32)
async def publish_stock_request(
    received: Received[CheckoutStockRequested], mesh: Mesh, steps: Steps
) -> AsyncIterator[StockReservationRequested | StockReleaseRequested | StockSaleRequested]:
    """What a checkout requests of stock is published in stock's own stream, where its answers are."""
    request = received.event
    match request.action:
        case "reserve":
            lines = request.lines or await _read_lines(request.order_id, mesh)
            until = received.stored + steps.settings.reservation_lasts
            yield StockReservationRequested(order_id=request.order_id, lines=lines, until=until)
        case "release":
            yield StockReleaseRequested(order_id=request.order_id, reason=request.reason)
        case "sell":
            yield StockSaleRequested(order_id=request.order_id)


async def _read_lines(order_id: str, mesh: Mesh) -> tuple[StockLine, ...]:
    created = await mesh.last(OrderCreated, order_id)
    if created is None:
        raise Retry("the order cannot be read yet", after=STALE_READ)
    return _stock_lines(created.event)


@service.answers
async def parked(asked: Parked, mesh: Mesh) -> ParkedCheckouts:
    """The checkouts that wait for somebody to decide."""
    return await parked_checkouts(asked, mesh)


@service.answers
async def resume(decision: Resume, mesh: Mesh, steps: Steps) -> Resumed:
    """Go on with a parked checkout as somebody decided."""
    return await store_decision(decision, mesh, steps.table)


async def _begun(received: Received, mesh: Mesh, steps: Table) -> State | None:
    if isinstance(received.event, OrderCreated):  # an order is created once
        return begun(received.event, steps)
    created = await mesh.last(OrderCreated, received.event.order_id)
    return begun(created.event, steps) if created else None


async def _moved(before: State, received: Received, mesh: Mesh, steps: Table) -> Move:
    """The checkout after an event. One that a defect keeps from going on is parked, with the event behind it."""
    stream = mesh.stream_of(type(received.event))
    is_due = isinstance(received.event, CheckoutStepDue)
    if before.parked and is_due:
        return Move(before)
    try:
        behind = await events_behind(before, mesh) if before.waiting else []
        if before.parked and not isinstance(received.event, CheckoutResumed):
            waits = wait(msgspec.structs.replace(before, requested=None), received, stream)
            return answered_late(before, [*behind, received], steps) or Move(waits)
        events = [received, *behind]
        if is_overdue(before, received.event) and (answers := await _unheard(before, mesh)):
            events = answers  # they came in time; where they do not let it go on, the timer is set again
        taken = move(msgspec.structs.replace(before, waiting=()), events, steps)
    except MeshError:
        raise
    except Exception as error:
        if received.attempt < PARKED_AFTER:
            raise
        log.exception("a checkout is parked", order_id=before.order_id)
        return Move(park(wait(before, received, stream), f"{type(error).__name__}: {error}"))
    return taken


async def _unheard(before: State, mesh: Mesh) -> list[Received]:
    """What is stored of the order and not known to its checkout.

    An answer whose delivery a killed process took with it is delivered again after a while, which may be longer than
    all tries of its step: who has answered once does not answer again.
    """
    history = await mesh.history(before.order_id, *ANSWERS)
    return [one for one in history if learned(before, one) != before]


async def _shipped(
    before: State, made: Move, received: Received, mesh: Mesh, steps: Table
) -> tuple[Move, list[Unchanged]]:
    """The last look at an order before it is handed to shipping, and the condition that it stays so.

    A cancellation that has not come here yet is taken first: from then on there is none.
    """
    history = await mesh.history(before.order_id, OrderCreated, OrderCancelled, OrderReaddressed)
    created, cancelled = history.last(OrderCreated), history.last(OrderCancelled)
    readdressed = history.last(OrderReaddressed)
    if created is None:
        raise Retry("the order cannot be read", after=STALE_READ)
    if cancelled and cancelled.sequence > made.state.places.get("total", 0):
        behind = await events_behind(before, mesh) if before.waiting else []
        made = move(msgspec.structs.replace(before, waiting=()), [received, *behind, cancelled], steps)
    lines = cancelled.event.left if cancelled else created.event.lines
    parcel = ShipmentRequested(
        order_id=before.order_id,
        lines=tuple(OrderedPieces(product_id=one.product_id, quantity=one.quantity) for one in lines),
        address_id=readdressed.event.address_id if readdressed else created.event.address_id,
    )
    requests: tuple[Event, ...] = tuple(parcel if isinstance(one, ShipmentRequested) else one for one in made.requests)
    return Move(made.state, requests), history.unchanged(OrderCancelled, OrderReaddressed)
