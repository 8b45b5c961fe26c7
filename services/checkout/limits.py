"""Limits: until when a step of a checkout may take, and the timer that watches it. Pure."""

from datetime import datetime, timedelta

import msgspec

from mesh import Cancel, Timer
from mesh.events.checkout import CheckoutAdvanced as State
from mesh.events.checkout import CheckoutStepDue
from services.checkout.steps import Table

SOON, LATER = timedelta(seconds=10), timedelta(seconds=30)
"""A pending timer that goes off sooner than this is replaced, by one that goes off so much later at most."""


def limited(state: State, steps: Table, now: datetime) -> tuple[State, list[Timer | Cancel]]:
    """The state with the time limit of its step, and the timer that is set, or cancelled at the end.

    A pending timer that goes off before the limit stays, unless it does so soon. Who hears it sets one for the step
    that is waited for then. So a checkout whose steps are answered soon has three timers, and not one for each step.
    """
    step = steps.step(state.step)
    if step is None or state.parked:
        return msgspec.structs.replace(state, limit=None, timer=None), [Cancel(CheckoutStepDue, state.order_id)]
    limit = state.limit if state.requested is None else now + step.within
    if limit is None or (state.timer is not None and min(limit, now + SOON) <= state.timer <= limit):
        return msgspec.structs.replace(state, limit=limit), []
    timer = max(now, min(limit, now + LATER))
    attempt = state.asked[step.name] if timer >= limit else 0
    due = CheckoutStepDue(order_id=state.order_id, step=step.name, attempt=attempt)
    return msgspec.structs.replace(state, limit=limit, timer=timer), [Timer(due, timer)]
