"""Binding: a handler bound to events, to a clock or to requests; what the server needs follows from it."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, Protocol

from mesh.errors import DeclarationError
from mesh.event import Event, declaration_of
from mesh.streams import DEFAULT_LAYOUT, Bucket, ConsumerSpec, StreamLayout, mesh_stream
from mesh.subjects import every as every_subject

Reach = Literal["region", "mesh"]
NO_KEY = "~"
"""The last token of a filter that no message matches: no key may have this character."""


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One handler bound to events. Everything the server needs is derived from it.

    `durable` is `<service>-<handler>`; with `fanout` every replica receives every event through a
    private consumer that begins `since` ago, and nothing is acknowledged or retried. With `consumer_per_event`
    each kind has a consumer of its own, which a server fills several times faster; kinds may overtake
    each other.
    `retries` counts failures before the message becomes a dead letter; `concurrency` bounds handlers at once.

    With `one_copy` only one server keeps the durable's place, which costs the servers less per event. While that server
    is down the handler waits; killed, it gives the last moments' events again; should its disk be lost, the handler
    starts again from the beginning. So it is for projections alone (`projects`), whose folds may see an event twice,
    and for those whose lag changes no decision (decisions/0019).

    With `as_wanted` the service says while it runs which of the kinds it wants now (`Interest`): the others are not
    delivered at all, for what is delivered for nothing costs the servers as much as what is used (decisions/0060).
    """

    service: str
    handler: Callable[..., Any]
    kinds: tuple[type[Event], ...]
    reach: Reach = "region"
    batch: int | None = None
    linger: timedelta = timedelta(milliseconds=20)
    concurrency: int = 16
    ack_wait: timedelta = timedelta(seconds=30)
    retries: int = 8
    fanout: bool = False
    since: timedelta | None = None
    new_only: bool = False
    consumer_per_event: bool = False
    wants_received: bool = False
    projects: tuple[Bucket, ...] = ()
    one_copy: bool = False
    as_wanted: bool = False
    refills: bool = False

    @property
    def is_refilled(self) -> bool:
        """Whether the handler is given all events again where a region is rebuilt."""
        return self.refills or bool(self.projects)

    @property
    def name(self) -> str:
        """The handler's name as a token."""
        return self.handler.__name__.replace("_", "-")

    @property
    def durable(self) -> str:
        """The durable consumer's name."""
        return f"{self.service}-{self.name}"

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").partition("\n")[0]

    def filters(self, region: str, layout: StreamLayout = DEFAULT_LAYOUT) -> dict[str, tuple[str, ...]]:
        """Stream -> filter subjects in a region: the region's own events come from its write streams.

        With `reach="mesh"` the other regions' come from `MESH_<region>`, which holds nothing of the region itself:
        each event arrives through exactly one of the two.
        """
        found: dict[str, tuple[str, ...]] = {}
        for kind in self.kinds:
            declaration = declaration_of(kind)
            places = [(layout.stream_of(declaration, region), region)]
            if self.reach == "mesh":
                places.append((mesh_stream(region), "*"))
            for stream, origin in places:
                found[stream] = (*found.get(stream, ()), every_subject(declaration, region=origin))
        return found

    def consumers(self, region: str, layout: StreamLayout = DEFAULT_LAYOUT) -> list[ConsumerSpec]:
        """The durables that must exist for this handler in a region (none with `fanout`)."""
        if self.fanout:
            return []
        return [
            ConsumerSpec(
                stream=stream,
                durable=self.durable,
                filters=filters,
                ack_wait=self.ack_wait,
                max_ack_pending=max(4 * (self.batch or self.concurrency), 1000),
                deliver_new=self.new_only,
                description=self.summary,
                copies=1 if self.one_copy else 0,
                as_wanted=self.as_wanted,
            )
            for stream, filters in self.filters(region, layout).items()
        ]

    def narrowed(
        self, kinds: Collection[type[Event]], region: str, layout: StreamLayout = DEFAULT_LAYOUT
    ) -> list[ConsumerSpec]:
        """The durables while only these of the kinds are wanted: one that has none of them delivers nothing.

        DeclarationError where one of the kinds is not the handler's.
        """
        if strangers := [kind.__name__ for kind in kinds if kind not in self.kinds]:
            raise DeclarationError(f"{self.durable} does not take {', '.join(strangers)}")
        wanted = replace(self, kinds=tuple(kind for kind in self.kinds if kind in kinds)).filters(region, layout)
        return [
            replace(spec, filters=wanted.get(spec.stream) or (f"{spec.filters[0].rpartition('.')[0]}.{NO_KEY}",))
            for spec in self.consumers(region, layout)
        ]


class Bindings(Protocol):
    """The handlers that a service binds while it runs: it declares `binds_later`, and asks for this by its type.

    They are handlers like those that are declared: retried, parked, driven again and traced by the same parts.
    """

    async def add(self, binding: Binding) -> None:
        """Begin to consume, from where the durable of that name is, or from now on. Raises Unavailable."""
        ...

    async def remove(self, durable: str) -> None:
        """Finish what was begun, and consume no more. The durable stays, with what waits for it."""
        ...


class Interest(Protocol):
    """What a service wants of the handlers that it declares with `as_wanted`; it asks for this by its type.

    A durable of such a handler begins with all of the handler's kinds, and keeps its place whatever is wanted. What is
    stored once a kind is wanted is delivered, as ever. What was stored while it was not may be delivered afterwards or
    not: the server passes over it from time to time. So a service wants a kind before the first event that matters to
    it can be stored, and leaves alone what does not concern it.
    """

    async def want(self, handler: Callable[..., Any], kinds: Collection[type[Event]]) -> None:
        """Have only these kinds delivered from now on, to whichever process of the service. Raises Unavailable.

        The last one to say so decides: what follows from shared state is to be said again whenever that changes.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A handler called every `period`; of several replicas only one effect counts."""

    service: str
    handler: Callable[..., Any]
    period: timedelta

    @property
    def name(self) -> str:
        """The handler's name as a token."""
        return self.handler.__name__.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A handler that answers requests `rpc.<region>.<service>.<handler>`, typed by its annotations."""

    service: str
    handler: Callable[..., Any]
    question: type
    answer: type

    @property
    def name(self) -> str:
        """The handler's name as a token."""
        return self.handler.__name__.replace("_", "-")

    def subject(self, region: str) -> str:
        """Where it is asked."""
        return f"rpc.{region}.{self.service}.{self.name}"
