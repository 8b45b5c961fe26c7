"""Timers: an event that the server will publish later, replaced by a newer one, cancelled by another event.

A timer is a JetStream message schedule (ADR-51) in the same stream and, with other changes,
in the same commit. There is one per event type and key: scheduling again replaces it.
"""

from dataclasses import dataclass
from datetime import datetime

from mesh.event import Event


@dataclass(frozen=True)
class Timer:
    """Publish `event` at `at` (aware UTC). Replaces the pending timer of the same type and key."""

    event: Event
    at: datetime


@dataclass(frozen=True)
class Cancel:
    """Drop the pending timer of `kind` and `key`, in the commit of the other changes. Harmless when there is none."""

    kind: type[Event]
    key: str
