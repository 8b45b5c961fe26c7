"""Causation: which event is being handled, so that whatever is published meanwhile names it as its cause.

This is a fact of the domain. It does not depend on tracing, which may be off or sample the event away.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_handled: ContextVar[str | None] = ContextVar("handled_event", default=None)


def handled_event() -> str | None:
    """The id of the event that this task is handling; None outside of a handler, and for a batch of several events."""
    return _handled.get()


@contextmanager
def handling(event_id: str | None) -> Iterator[None]:
    """Everything in the block is caused by this event."""
    token = _handled.set(event_id)
    try:
        yield
    finally:
        _handled.reset(token)
