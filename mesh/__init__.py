"""The mesh library: events, services and everything between them and NATS JetStream."""

from mesh.envelope import Received
from mesh.errors import Bury, MeshError, Retry
from mesh.event import Event, event
from mesh.history import History, Unchanged
from mesh.mesh import Mesh
from mesh.money import Money
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
