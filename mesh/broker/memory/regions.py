"""Regions: the state that brokers of one region share, and the links that copy events between regions."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import combinations
from typing import Any

from mesh.broker.memory.alarms import Alarms, Clock, wall_clock
from mesh.broker.memory.broker import MemoryBroker
from mesh.broker.memory.consumers import Consumer
from mesh.broker.memory.log import Log, Watcher
from mesh.broker.memory.values import Values
from mesh.broker.protocol import Message
from mesh.streams import (
    DEFAULT_LAYOUT,
    Bucket,
    ConsumerSpec,
    StreamFamily,
    StreamLayout,
    dead_stream,
    mesh_stream,
)
from mesh.subjects import matches

WINDOW = timedelta(minutes=10)
Answer = Callable[[bytes], Awaitable[bytes]]


@dataclass
class MemoryRegion:
    """One region's servers: streams, consumers, buckets, object stores and who answers requests."""

    name: str
    alarms: Alarms
    layout: StreamLayout = DEFAULT_LAYOUT
    up: bool = True
    logs: dict[str, Log] = field(default_factory=dict)
    consumers: dict[tuple[str, str], Consumer] = field(default_factory=dict)
    buckets: dict[str, Values] = field(default_factory=dict)
    object_stores: dict[str, dict[str, bytes]] = field(default_factory=dict)
    answers: dict[str, dict[str, list[Answer]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        takes: dict[str, Callable[[str], bool]] = {
            **{family.stream(self.name): partial(self._takes, family) for family in self.layout.families},
            mesh_stream(self.name): lambda _: False,
            dead_stream(self.name): lambda subject: matches(f"dead.{self.name}.>", subject),
        }
        self.logs = {name: Log(name, taken, self.alarms, WINDOW) for name, taken in takes.items()}

    def consumer(self, spec: ConsumerSpec) -> Consumer:
        """The durable of that name, made when it is first asked for."""
        name = (spec.stream, spec.durable)
        if name not in self.consumers:
            log = self.logs[spec.stream]
            after = log.sequence if spec.deliver_new else 0
            self.consumers[name] = Consumer(log, spec, self.alarms, after=after)
        return self.consumers[name]

    def values(self, bucket: Bucket[Any]) -> Values:
        """A bucket's values, made when they are first asked for."""
        if bucket.name not in self.buckets:
            self.buckets[bucket.name] = Values(bucket.name, self.alarms, bucket.ttl)
        return self.buckets[bucket.name]

    def _takes(self, family: StreamFamily, subject: str) -> bool:
        """Whether a family's stream takes a subject: its domains' events and timers, and its own carriers."""
        root, region, *rest = subject.split(".")
        if region != self.name or not rest:
            return False
        match root:
            case "carrier":
                return family.atomic and rest[0] == family.name.lower()
            case "ev" | "pii":
                return self.layout.family_of_domain(rest[0], personal=root == "pii") is family
            case "timer":
                return family.schedules and self.layout.family_of_domain(rest[0]) is family
            case _:
                return False


class MemoryMesh:
    """Regions that copy each other's events, not their own, into their `MESH_<r>`; `cut` and `heal` are for tests.

    `clock` (aware UTC) replaces the wall clock for timers, expiry, deduplication and redelivery. `layout` says which
    streams there are, as a `mesh.toml` does.
    """

    def __init__(self, *regions: str, clock: Clock = wall_clock, layout: StreamLayout = DEFAULT_LAYOUT) -> None:
        self.alarms, self.layout = Alarms(clock), layout
        self.regions = {name: MemoryRegion(name, self.alarms, layout) for name in regions or ("us",)}
        self._cut: set[frozenset[str]] = set()
        self._copied: Counter[tuple[str, str]] = Counter()
        for origin, region in self.regions.items():
            for family in layout.copied:
                region.logs[family.stream(origin)].watch(Watcher(self._copier(origin), lambda _: None))

    def broker(self, region: str = "", *, may_publish: tuple[str, ...] = (">",)) -> MemoryBroker:
        """A new connection to a region (default: the first) of a user who may publish on these subjects."""
        return MemoryBroker(self, region or next(iter(self.regions)), may_publish=may_publish)

    def cut(self, region: str, other: str | None = None) -> None:
        """Take down a region's link to one other, or all of its links."""
        self._cut |= self._links(region, other)

    def heal(self, region: str, other: str | None = None) -> None:
        """Bring links up again; what was missed is copied at once."""
        self._cut -= self._links(region, other)
        for origin in self.regions:
            self._copy(origin)

    def stop(self, region: str) -> None:
        """Stop a region's servers: everything asked of it is Unavailable. What was stored stays."""
        self.regions[region].up = False
        for consumer in self.regions[region].consumers.values():
            consumer.wake()

    def start(self, region: str) -> None:
        """Start a region's servers again."""
        self.regions[region].up = True

    def linked(self, one: str, other: str) -> bool:
        """Whether two regions can reach each other (a region always reaches itself)."""
        return one == other or frozenset((one, other)) not in self._cut

    def _links(self, region: str, other: str | None) -> set[frozenset[str]]:
        return {
            frozenset(pair)
            for pair in combinations(self.regions, 2)
            if region in pair and (other is None or other in pair)
        }

    def _copier(self, origin: str) -> Callable[[Message], None]:
        return lambda _: self._copy(origin)

    def _copy(self, origin: str) -> None:
        for target in self.regions:
            if target != origin and self.linked(origin, target):
                for family in self.layout.copied:
                    self._copy_to(target, origin, self.regions[origin].logs[family.stream(origin)])

    def _copy_to(self, target: str, origin: str, log: Log) -> None:
        """Copy what is new in one of the origin's streams."""
        while (place := self._copied[log.name, target]) < log.sequence:
            self._copied[log.name, target] = place + 1
            message: Message | None = log.messages.get(place + 1)
            if message and matches(f"ev.{origin}.>", message.subject):
                self.regions[target].logs[mesh_stream(target)].copy(message, log.ttls.get(place + 1))
