"""The mesh library: events, services and everything between them and NATS JetStream.

What brings the client of NATS along is imported with its first use: a process that only needs an amount of money or an
error, as one that renders mails does, starts in half the time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mesh.errors import Bury, MeshError, Retry
from mesh.event import Event, event
from mesh.money import Money

if TYPE_CHECKING:
    from mesh.envelope import Received
    from mesh.history import History, Unchanged
    from mesh.mesh import Mesh
    from mesh.service import Service
    from mesh.streams import Bucket, ObjectStore
    from mesh.timers import Cancel, Timer

__all__ = [
    "Bucket",
    "Bury",
    "Cancel",
    "Event",
    "History",
    "Mesh",
    "MeshError",
    "Money",
    "ObjectStore",
    "Received",
    "Retry",
    "Service",
    "Timer",
    "Unchanged",
    "event",
]
_MODULES = {
    "Bucket": "mesh.streams",
    "Cancel": "mesh.timers",
    "History": "mesh.history",
    "Mesh": "mesh.mesh",
    "ObjectStore": "mesh.streams",
    "Received": "mesh.envelope",
    "Service": "mesh.service",
    "Timer": "mesh.timers",
    "Unchanged": "mesh.history",
}
"""Where that stands which is imported with its first use (https://peps.python.org/pep-0562/)."""


def __getattr__(name: str) -> Any:
    """Import a name of `_MODULES`; AttributeError for any other."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value
