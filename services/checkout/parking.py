"""Parking: which checkouts wait for somebody to decide, and the decision."""

from datetime import datetime

from mesh import Mesh, Received, Unchanged
from mesh.errors import Conflict, Unavailable
from mesh.events.checkout import (
    CheckoutAdvanced,
    CheckoutParked,
    CheckoutResumed,
    Parked,
    ParkedCheckout,
    ParkedCheckouts,
    Resume,
    Resumed,
)
from mesh.events.checkout import CheckoutAdvanced as State
from mesh.mesh import received
from services.checkout.saga import may_accept, may_undo
from services.checkout.steps import Table


async def parked_checkouts(asked: Parked, mesh: Mesh) -> ParkedCheckouts:
    """The parked checkouts, found by the events of parking, of which there are few."""
    since: dict[str, datetime] = {}
    async for one in mesh.read(CheckoutParked):
        since[one.event.order_id] = one.stored
    found: list[ParkedCheckout] = []
    for order_id, stored in since.items():
        last = await mesh.last(CheckoutAdvanced, order_id)
        if last and last.event.parked and len(found) < asked.most:
            state = last.event
            waits = ParkedCheckout(
                order_id=order_id, step=state.step, reason=state.parked or "", since=stored, waiting=len(state.waiting)
            )
            found.append(waits)
    return ParkedCheckouts(checkouts=tuple(found))


async def store_decision(resume: Resume, mesh: Mesh, steps: Table) -> Resumed:
    """Store the decision about a checkout that is parked, if it is one that its step allows."""
    order_id = resume.order_id
    before = await mesh.last(CheckoutResumed, order_id)
    last = await mesh.last(CheckoutAdvanced, order_id)
    if last is None:
        return Resumed(refused=f"there is no checkout of an order {order_id} in this region")
    if refused := _refused(resume, last.event, steps):
        return Resumed(refused=refused)
    decided = CheckoutResumed(
        order_id=order_id,
        decision=resume.decision,
        reason=resume.reason,
        step=last.event.step,
        author=resume.author,
    )
    try:
        await mesh.publish(decided, Unchanged(CheckoutResumed, order_id, before.sequence if before else 0))
    except Conflict:
        return Resumed(refused=f"somebody else decided about {order_id} just now")
    return Resumed()


def _refused(resume: Resume, state: State, steps: Table) -> str | None:
    if not state.parked:
        return f"the checkout of {resume.order_id} is not parked: it is at {state.step}"
    if resume.decision == "accept" and not may_accept(state, steps):
        return f"the step {state.step} cannot be taken as done: ask again, or undo"
    if resume.decision == "undo" and not may_undo(state):
        return "the order was handed to shipping: it can be returned, and is not undone any more"
    return None


async def events_behind(state: State, mesh: Mesh) -> list[Received]:
    """The events that wait behind a parked checkout, in the order in which they came. Raises Unavailable."""
    found: list[Received] = []
    for place in state.waiting:
        message = await mesh.broker.get(place.stream, place.sequence)
        if message is None:
            raise Unavailable(f"{place.type} at {place.sequence} of {place.stream} cannot be read yet")
        found.append(received(message))
    return found
