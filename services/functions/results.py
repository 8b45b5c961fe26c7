"""Results: what is published of what a function returned, and what becomes of its event."""

from mesh import Bury, Received, Retry
from mesh.errors import InvalidKey
from mesh.events.function import FunctionEmitted
from mesh.events.function_call import CallOutcome
from mesh.function import Emit
from mesh.subjects import token
from services.functions.frames import Declared
from services.functions.target import Called

MOST_EMITTED, MOST_HOPS = 100, 16
"""How much one call may publish, and how many functions may follow from one another."""


def emitted_of(
    declared: Declared, called: Called, received: Received
) -> tuple[list[FunctionEmitted], Exception | None]:
    """What is published of what a function returned, or the error."""
    if called.error is not None:
        return [], called.error
    hops = received.event.hops + 1 if isinstance(received.event, FunctionEmitted) else 0
    if called.emitted and hops > MOST_HOPS:
        return [], Bury(f"{MOST_HOPS} functions followed from one another: do they call each other in a circle?")
    if len(called.emitted) > MOST_EMITTED:
        return [], Bury(f"it published {len(called.emitted)} events; {MOST_EMITTED} are the most")
    try:
        return [_event(declared, one, hops) for one in called.emitted], None
    except Bury as error:
        return [], error


def _event(declared: Declared, emitted: Emit, hops: int) -> FunctionEmitted:
    if emitted.name not in declared.publishes:
        raise Bury(f"it may not publish {emitted.name!r}: add it to publishes=, which is {declared.publishes}")
    try:
        token(emitted.key, "key")
    except InvalidKey as error:
        raise Bury(f"{emitted.name}: {error}") from None
    return FunctionEmitted(key=emitted.key, name=emitted.name, function=declared.name, data=emitted.data, hops=hops)


def outcome_of(error: Exception | None) -> CallOutcome:
    """What becomes of the event that a function was called with."""
    match error:
        case None:
            return "done"
        case Retry():
            return "again"
        case Bury():
            return "buried"
        case _:
            return "failed"
