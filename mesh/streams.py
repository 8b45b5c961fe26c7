"""Streams, buckets and object stores: value objects that become JetStream configurations."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

from mesh.event import Declaration
from mesh.subjects import token

T = TypeVar("T")

INTERACTION_DOMAINS = ("interaction", "recommendation", "user")
"""Domains of high volume and short life; every other domain belongs to the books."""


def stream_of(declaration: Declaration, region: str) -> str:
    """The write stream of an event in a region."""
    family = "INTERACTIONS" if declaration.domain in INTERACTION_DOMAINS and not declaration.personal else "COMMERCE"
    return f"{family}_{region}"


def mesh_stream(region: str) -> str:
    """The region's local copy of what the other regions did."""
    return f"MESH_{region}"


def dead_stream(region: str) -> str:
    """The region's parked messages."""
    return f"DEAD_{region}"


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A JetStream stream.

    `sources` names streams to copy from as (stream, domain or None for this region, filter subject); None where the
    stream is no copy.
    `books` turns on what decisions need: atomic batches, message schedules, message TTL.
    """

    name: str
    subjects: tuple[str, ...] = ()
    sources: tuple[tuple[str, str | None, str], ...] | None = None
    keep: timedelta | None = None
    replicas: int = 3
    books: bool = False
    duplicate_window: timedelta = timedelta(minutes=2)
    description: str = ""


@dataclass(frozen=True)
class Bucket(Generic[T]):
    """A key-value bucket of one type, in one region.

    A projection (`rebuilt=True`) can be thrown away and rebuilt by replay; configuration cannot.
    `history` is how many revisions are kept (1 to 64); `ttl` forgets values after that time. Of an `erasable` bucket
    a value can be overwritten where it is stored (`State.erase`).
    """

    name: str
    kind: type[T]
    history: int = 1
    ttl: timedelta | None = None
    rebuilt: bool = False
    erasable: bool = False

    def __post_init__(self) -> None:
        token(self.name, "bucket name")


@dataclass(frozen=True)
class ObjectStore:
    """An object store for large values such as model files, in one region."""

    name: str

    def __post_init__(self) -> None:
        token(self.name, "object store name")


@dataclass(frozen=True, kw_only=True)
class ConsumerSpec:
    """A durable pull consumer as it must exist on the server.

    `deliver_new` starts at now instead of at the beginning; `ack_wait` is how long the server waits
    for an answer or an in-progress signal before it delivers again.
    """

    stream: str
    durable: str
    filters: tuple[str, ...]
    ack_wait: timedelta = timedelta(seconds=30)
    max_ack_pending: int = 2000
    deliver_new: bool = False
    description: str = field(default="", compare=False)
