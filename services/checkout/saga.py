"""Saga: from a checkout's state and what has happened to the next state and what is requested. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mesh import Event, Received
from mesh.event import declaration_of
from mesh.events.checkout import CheckoutAdvanced as State
from mesh.events.checkout import CheckoutResumed, CheckoutStepDue, WaitingAnswer
from mesh.events.code import CodeClaimChanged
from mesh.events.fraud import FraudCleared
from mesh.events.order import OrderCancelled, OrderConfirmed, OrderCreated, OrderReturned
from mesh.events.payment import (
    PaymentAuthorised,
    PaymentCaptured,
    PaymentChargebackReversed,
    PaymentChargedBack,
    PaymentDeclined,
    PaymentFailed,
    PaymentFlagged,
    PaymentRefunded,
    PaymentVoided,
)
from mesh.events.stock import StockReservationChanged
from services.checkout.steps import Step, Table

PAYMENTS = (PaymentAuthorised, PaymentDeclined, PaymentCaptured, PaymentVoided, PaymentRefunded, PaymentFailed)
DISPUTES = (PaymentChargedBack, PaymentChargebackReversed)
ANSWERS = (
    StockReservationChanged,
    CodeClaimChanged,
    FraudCleared,
    PaymentFlagged,
    *PAYMENTS,
    *DISPUTES,
    OrderConfirmed,
    OrderCancelled,
    OrderReturned,
)
KINDS = (OrderCreated, *ANSWERS, CheckoutStepDue, CheckoutResumed)
"""All that moves a checkout."""
FINISHED, UNDONE = "finished", "undone"


@dataclass(frozen=True)
class Move:
    """A checkout after an event: its state, and the events that are requested with it."""

    state: State
    requests: tuple[Event, ...] = ()


def begun(created: OrderCreated, table: Table) -> State:
    """The state of an order that was just created."""
    return State(
        order_id=created.order_id,
        step=table.forward[0].name,
        total=created.total,
        payment_method=created.payment_method,
        customer_id=created.customer_id,
        visitor_id=created.visitor_id,
        buyer=created.buyer,
        code=created.code,
    )


def move(before: State, events: Sequence[Received], table: Table) -> Move:
    """The checkout after more events, in their order; the same state where they change nothing."""
    state, again = _with(before, requested=None), False
    for received in events:
        match received.event:
            case CheckoutResumed() as resumed:
                state, again = decided(state, resumed, table)
            case CheckoutStepDue() as due:
                state, again = _overdue(state, due, table)
            case _:
                known, state = state.places, learned(state, received)
                again = again and state.places == known  # what has an answer by now is not requested again
    return advanced(state, table, again=again)


def answered_late(parked: State, events: Sequence[Received], table: Table) -> Move | None:
    """A checkout that is parked because nobody answered, after events that let it go on or park it for another reason.

    None where they are no answer, or where it is parked for something that only a person can decide.
    """
    if not (parked.parked or "").startswith(_nobody_answered(parked.step)):
        return None
    made = move(_with(parked, parked=None, waiting=()), events, table)
    return made if made.state.parked or made.state.step != parked.step else None


def learned(state: State, received: Received) -> State:  # noqa: PLR0911  one return for each kind of event
    """The state with what an event says, before anything is concluded. Old and repeated events change nothing."""
    happened = received.event
    match happened:
        case OrderCancelled(total=total, left=left):
            known = _newer(state, "total", received, total=total)
            return known if left else _answered(known, "order", "order.cancelled", received)
        case OrderReturned(total=total):
            return _newer(state, "returned", received, returned=total.amount)
        case StockReservationChanged(outcome=outcome):
            return _answered(state, "stock", f"stock.{outcome}", received)
        case CodeClaimChanged(outcome=outcome):
            return _answered(state, "code", f"code.{outcome}", received)
        case PaymentFailed(step=step, payment=payment):
            return _answered(state, "payment", f"payment.{step}_failed", received, payment=payment or state.payment)
        case OrderConfirmed():
            return _answered(state, "order", "order.confirmed", received)
        case FraudCleared() | PaymentFlagged():
            return _answered(state, "fraud", declaration_of(type(happened)).name, received)
        case PaymentChargedBack() | PaymentChargebackReversed():  # answers nothing, but what is owed back is less
            return _newer(state, "dispute", received, payment=happened.payment)
        case _ if isinstance(happened, PAYMENTS):
            name = declaration_of(type(happened)).name
            return _answered(state, "payment", name, received, payment=happened.payment)
        case _:
            return state


def advanced(state: State, table: Table, *, again: bool = False) -> Move:  # noqa: PLR0911  one for each outcome
    """The state after all that follows from what is known, and what is requested.

    With `again` the present step is requested once more, unless it is answered.
    """
    if state.parked:
        return Move(state)
    if state.failure is None and state.answers.get("order") == "order.cancelled":
        state = _with(state, failure="the order was cancelled")
    if state.failure is not None:
        return _needed(state, table.undo, UNDONE, again=again)
    requests: tuple[Event, ...] = ()
    for step in table.forward[_index(table, state.step) :]:
        again, state = again and step.name == state.step, _with(state, step=step.name)
        answer = state.answers.get(step.topic)
        if answer in step.done or not step.needed(state):
            continue
        if step.name in state.asked and not again:
            if not _is_answered(state, step):
                return Move(state, requests)
            if answer in step.failed:
                return advanced(_with(state, failure=f"{step.name}: {answer}"), table)
            return Move(park(state, f"{step.name}: {answer}") if answer in step.held else state, requests)
        state, made = _requested(state, step)
        requests += made
        if not step.immediate:
            return Move(state, requests)
    made_after = _needed(state, table.after, FINISHED, again=again)
    return Move(made_after.state, requests + made_after.requests)


def decided(state: State, resumed: CheckoutResumed, table: Table) -> tuple[State, bool]:
    """A parked checkout after somebody's decision, and whether its step is requested again.

    One that is not parked stays as it is, and so does one whose step cannot be taken as done.
    """
    match resumed.decision:
        case _ if not state.parked:
            return state, False
        case "undo":
            return _with(state, parked=None, failure=state.failure or resumed.reason or "decided by hand"), True
        case "accept":
            return (_accepted(state, table), False) if may_accept(state, table) else (state, False)
        case _:
            return _with(state, parked=None), True


def may_accept(state: State, table: Table) -> bool:
    """Whether the present step can be taken as done although nobody says so."""
    step = table.step(state.step)
    return step is not None and f"{step.topic}.accepted" in step.done


def may_undo(state: State) -> bool:
    """Whether everything can still be undone: nothing was handed to shipping."""
    return "ship" not in state.asked


def wait(state: State, received: Received, stream: str) -> State:
    """A parked checkout with one more event that waits, in the order in which they come; each once."""
    place = WaitingAnswer(type=declaration_of(type(received.event)).type, stream=stream, sequence=received.sequence)
    return state if place in state.waiting else _with(state, waiting=(*state.waiting, place))


def park(state: State, reason: str) -> State:
    """The checkout waits for somebody to decide."""
    return _with(state, parked=reason)


def _needed(state: State, steps: tuple[Step, ...], end: str, *, again: bool) -> Move:
    """The first step that is needed; each is requested again where it was answered and is still needed."""
    step = next((one for one in steps if one.needed(state)), None)
    if step is None:
        return Move(_with(state, step=end))
    if state.step == step.name and not again:
        if not _is_answered(state, step):
            return Move(state)
        if (answer := state.answers[step.topic]) in step.held:
            return Move(park(state, f"{step.name}: {answer}"))
    return Move(*_requested(_with(state, step=step.name), step))


def _requested(state: State, step: Step) -> tuple[State, tuple[Event, ...]]:
    """The state in which a step was requested, and the request."""
    asked = {**state.asked, step.name: state.asked.get(step.name, 0) + 1}
    places = {**state.places, f"before {step.name}": state.places.get(step.topic, 0)}
    state = _with(state, asked=asked, places=places, requested=step.name)
    return state, (step.request(state),)


def _is_answered(state: State, step: Step) -> bool:
    """Whether something was answered since the step was requested last."""
    return state.places.get(step.topic, 0) > state.places.get(f"before {step.name}", 0)


def is_overdue(state: State, event: Event) -> bool:
    """Whether an event says that the present step, as it was requested last, was not answered within its limit."""
    match event:
        case CheckoutStepDue(step=step, attempt=attempt):
            return not state.parked and step == state.step and attempt == state.asked.get(step)
        case _:
            return False


def _overdue(state: State, due: CheckoutStepDue, table: Table) -> tuple[State, bool]:
    """What a silence means: the step is requested again, and after the last time what its line in the table says."""
    step = table.step(state.step)
    if step is None or not is_overdue(state, due):
        return state, False
    tries = step.tries or table.tries
    if due.attempt % tries:
        return state, True
    words = _nobody_answered(step.name) + (f" {tries} times" if tries > 1 else "")
    match step.silence:
        case "accept":
            return _accepted(state, table), False
        case "undo":
            return _with(state, failure=words), False
        case _:
            return park(state, words), False


def _nobody_answered(step: str) -> str:
    return f"{step}: nobody answered"


def _accepted(state: State, table: Table) -> State:
    step = table.step(state.step)
    topic = step.topic if step else ""
    return _with(state, parked=None, answers={**state.answers, topic: f"{topic}.accepted"})


def _answered(state: State, topic: str, answer: str, received: Received, **changes: Any) -> State:
    return _newer(state, topic, received, answers={**state.answers, topic: answer}, **changes)


def _newer(state: State, topic: str, received: Received, **changes: Any) -> State:
    if received.sequence <= state.places.get(topic, 0):
        return state
    return _with(state, places={**state.places, topic: received.sequence}, **changes)


def _index(table: Table, name: str) -> int:
    names = [step.name for step in table.forward]
    return names.index(name) if name in names else len(names)


def _with(state: State, **changes: Any) -> State:
    return msgspec.structs.replace(state, **changes)
