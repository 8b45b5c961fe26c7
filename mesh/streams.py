"""Streams, buckets and object stores: value objects that become JetStream configurations."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Generic, TypeVar

from mesh.event import Declaration
from mesh.subjects import token

T = TypeVar("T")

DEAD = "DEAD"
"""The family of the streams with dead letters, for `Service(reads=(DEAD,))`."""
MESH = "MESH"
"""The family of the streams with copies of the other regions' events."""

RECORDS = ("delivery", "function_call")
"""Domains of what services note of their own work, which is shown in their region: much, and of no use elsewhere."""


@dataclass(frozen=True, kw_only=True)
class StreamFamily:
    """The write streams of some event domains: every region has one, named `<name>_<region>`.

    `keep` is how long events stay. `atomic` turns on what decisions need, atomic batches and conditions, and other
    regions copy its events unless `copied` is off; what is not atomic is stored event by event. `schedules` turns on
    timers. Whoever may write to a stream with timers can also cancel any of them, because a header does it, and
    headers are not checked.
    """

    name: str
    domains: tuple[str, ...] = ()
    keep: timedelta
    atomic: bool = True
    schedules: bool = False
    copied: bool = True
    description: str = ""

    def stream(self, region: str) -> str:
        """The name of its stream in a region."""
        return f"{self.name}_{region}"


COMMERCE = StreamFamily(
    name="COMMERCE",
    keep=timedelta(days=400),
    schedules=True,
    description="What happened to carts, orders, offers and customers: every domain without a stream of its own",
)
INTERACTIONS = StreamFamily(
    name="INTERACTIONS",
    domains=("interaction", "recommendation", "user", "connection"),
    keep=timedelta(days=30),
    atomic=False,
    description="What shoppers look at, and what is concluded from it",
)
PERSONAL = StreamFamily(
    name="PERSONAL",
    keep=timedelta(days=400),
    atomic=False,
    description="Personal events of every domain, which never leave the region",
)
OPERATIONS = StreamFamily(
    name="OPERATIONS",
    domains=("mesh", "console"),
    keep=timedelta(days=400),
    description="Heartbeats, measurements, and what people changed in the console",
)


@dataclass(frozen=True, kw_only=True)
class StreamLayout:
    """Which family an event belongs to; the same in every process of a mesh. `own` are those that `mesh.toml` adds."""

    commerce: StreamFamily = COMMERCE
    interactions: StreamFamily = INTERACTIONS
    personal: StreamFamily = PERSONAL
    operations: StreamFamily = OPERATIONS
    own: tuple[StreamFamily, ...] = ()

    @property
    def families(self) -> tuple[StreamFamily, ...]:
        """All of them."""
        return (self.commerce, self.interactions, self.personal, self.operations, *self.own)

    @cached_property
    def _homes(self) -> dict[str, StreamFamily]:
        """Domain -> family, for the domains that a family names. It is looked up for each message."""
        return {domain: family for family in reversed(self.families) for domain in family.domains}

    @property
    def atomic(self) -> tuple[StreamFamily, ...]:
        """Those that take commits."""
        return tuple(family for family in self.families if family.atomic)

    @property
    def copied(self) -> tuple[StreamFamily, ...]:
        """Those that other regions copy."""
        return tuple(family for family in self.atomic if family.copied)

    def family_of(self, declaration: Declaration) -> StreamFamily:
        """Where an event is stored. What is personal has a stream of its own, whatever its domain."""
        return self.family_of_domain(declaration.domain, personal=declaration.personal)

    def family_of_domain(self, domain: str, *, personal: bool = False) -> StreamFamily:
        """Where the events of a domain are stored."""
        return self.personal if personal else self._homes.get(domain, self.commerce)

    def stream_of(self, declaration: Declaration, region: str) -> str:
        """The write stream of an event in a region."""
        return self.family_of(declaration).stream(region)

    def travels(self, declaration: Declaration) -> bool:
        """Whether other regions get an event."""
        return self.family_of(declaration) in self.copied and not declaration.personal


DEFAULT_LAYOUT = StreamLayout()
"""The layout of a `mesh.toml` that gives no domain a stream of its own."""


def mesh_stream(region: str) -> str:
    """The region's local copy of what the other regions did."""
    return f"{MESH}_{region}"


def dead_stream(region: str) -> str:
    """The region's dead letters."""
    return f"{DEAD}_{region}"


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One stream of the region `origin` as the region `target` copies it, through a consumer that the origin makes.

    Only the origin decides what the consumer delivers, and to which subject: the target can start it again at a
    sequence, and nothing else (ADR-60).
    """

    stream: str
    origin: str
    target: str

    @property
    def consumer(self) -> str:
        """The name of the durable on the origin's stream."""
        return f"copy_{self.target}"

    @property
    def filter(self) -> str:
        """What is copied: the origin's events, without what is personal."""
        return f"ev.{self.origin}.>"

    @property
    def delivered_on(self) -> str:
        """The subject that carries the copies over the link."""
        return f"copy.{self.stream}.{self.target}"

    @property
    def reset_on(self) -> str:
        """The origin's subject on which a request arrives to deliver again."""
        return f"copy_reset.{self.stream}.{self.target}"

    @property
    def reset_api(self) -> str:
        """What does so."""
        return f"$JS.API.CONSUMER.RESET.{self.stream}.{self.consumer}"


def copies(layout: StreamLayout, origin: str, target: str) -> tuple[Copy, ...]:
    """What one region copies of another."""
    return tuple(Copy(stream=family.stream(origin), origin=origin, target=target) for family in layout.copied)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A JetStream stream.

    `sources` are what it copies; None where the stream is no copy.
    `atomic` turns on atomic batches, `schedules` message schedules.
    """

    name: str
    subjects: tuple[str, ...] = ()
    sources: tuple[Copy, ...] | None = None
    keep: timedelta | None = None
    replicas: int = 3
    atomic: bool = False
    schedules: bool = False
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
    for an answer or an in-progress signal before it delivers again. `copies` is how many servers keep its place
    (0: as many as keep the stream). `as_wanted`: its service may narrow the filters (`mesh.binding.Interest`).
    """

    stream: str
    durable: str
    filters: tuple[str, ...]
    ack_wait: timedelta = timedelta(seconds=30)
    max_ack_pending: int = 2000
    deliver_new: bool = False
    copies: int = 0
    as_wanted: bool = False
    description: str = field(default="", compare=False)
