"""Calls of functions: how each ended, and what it wrote."""

from typing import Literal

from mesh.event import Event, event

CallOutcome = Literal["done", "failed", "again", "buried"]
"""`failed` counts towards its retries; `again` was asked for and does not; `buried` is a dead letter at once."""


@event(key="function")
class FunctionCallEnded(Event):
    """A function was called with an event: how that ended, and what it wrote meanwhile.

    `duration` is in milliseconds. `output` are the first characters that it printed and logged, and `dropped` how many
    bytes there were beyond them. `version` is that of its file.
    """

    function: str
    version: str
    event_id: str
    event_type: str
    attempt: int
    outcome: CallOutcome
    duration: float
    emitted: int = 0
    error: str | None = None
    output: str = ""
    dropped: int = 0
