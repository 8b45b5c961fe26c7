"""Service: a name, what it publishes, and handlers that are plain async functions.

A handler takes the event (or `Received[...]` to see id and times; a list of them with `batch`),
and yields what shall become true: events, `Timer`, `Cancel`, `Unchanged`. What it yields is committed
after it returns, with ids derived from the incoming event, and then the message is acknowledged.
Further parameters are filled by their type: `Mesh`, or what a `Service.resource` yields.
"""

import inspect
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from mesh.accept import PAGE, SERVER, Acceptance
from mesh.binding import Answer, Binding, Reach, Tick
from mesh.envelope import Received
from mesh.errors import DeclarationError
from mesh.event import Event, declaration_of
from mesh.page import Page
from mesh.parameters import first_parameter
from mesh.streams import Bucket, ObjectStore
from mesh.subjects import token
from mesh.translate import Adapter, Feed, Translation

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(eq=False)
class Service:
    """A service: declared once at module level, found by its file.

    `publishes` lists every event it may publish, and `timers` those of them that it schedules; `asks` names the
    services it sends requests to; `reads` further streams of its region it may read, by family (`DEAD`); `buckets` and
    `object_stores` are the state it may touch, `views` other services' buckets it may read; with `measures` it
    measures its region and reads no message of it; one that `redrives` hands dead letters of its region back to the
    services that gave them up (`mesh.dead_letters.redrive`). `reads_personal_data`: it reads encrypted fields, as do
    those who publish them. With `resets_copies` it answers servers of other regions that copy this one's streams; with
    `binds_later` it makes durables while it runs (`mesh.binding.Bindings`), of all its region's streams but those of
    personal events and of operations. From these its permissions derive.
    `secrets` names the secret settings that it does not start without (`address_secret`, see `mesh.settings.Secret`).
    `alone` asks for a process of its own, for work that would keep others waiting.
    A `demo` shows the mesh off: `cartmesh up` starts it, a deployed region leaves it out unless its values enable it.
    With `hosts` it takes from outside what all services accept, and may publish what follows from that.
    `port` is where `cartmesh up` serves it in the first region, if it is free; further regions follow it.
    """

    name: str
    publishes: tuple[type[Event], ...] = ()
    timers: tuple[type[Event], ...] = ()
    buckets: tuple[Bucket, ...] = ()
    views: tuple[Bucket, ...] = ()
    object_stores: tuple[ObjectStore, ...] = ()
    asks: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    measures: bool = False
    redrives: bool = False
    resets_copies: bool = False
    binds_later: bool = False
    reads_personal_data: bool = False
    secrets: tuple[str, ...] = ()
    alone: bool = False
    demo: bool = False
    hosts: bool = False
    port: int = 0
    bindings: list[Binding] = field(default_factory=list, init=False)
    ticks: list[Tick] = field(default_factory=list, init=False)
    answered: list[Answer] = field(default_factory=list, init=False)
    acceptances: list[Acceptance] = field(default_factory=list, init=False)
    translations: list[Translation] = field(default_factory=list, init=False)
    feeds: list[Callable[[], list[Feed]]] = field(default_factory=list, init=False)
    resources: dict[type, Callable[..., AsyncIterator[Any]]] = field(default_factory=dict, init=False)
    app: Callable[..., Any] | None = field(default=None, init=False)
    pages: list[Page] = field(default_factory=list, init=False)
    module: str = field(default="", init=False)

    def __post_init__(self) -> None:
        token(self.name, "service name")
        if missing := [one.__name__ for one in self.timers if one not in self.publishes]:
            raise DeclarationError(f"{self.name} schedules {', '.join(missing)}: it must stand in its publishes")
        frame = inspect.currentframe()
        caller = frame.f_back.f_back if frame and frame.f_back else None
        self.module = caller.f_globals.get("__name__", "") if caller else ""

    def on(
        self,
        *kinds: type[Event],
        reach: Reach = "region",
        batch: int | None = None,
        linger: timedelta = timedelta(milliseconds=20),
        concurrency: int = 16,
        ack_wait: timedelta = timedelta(seconds=30),
        retries: int = 8,
        fanout: bool = False,
        since: timedelta | None = None,
        new_only: bool = False,
        consumer_per_event: bool = False,
        projects: Bucket | tuple[Bucket, ...] = (),
        one_copy: bool = False,
        as_wanted: bool = False,
        refills: bool = False,
    ) -> Callable[[F], F]:
        """Call the function for each of these events; with `batch` for up to that many at once.

        `reach="mesh"` receives every region's events: the region's own through one consumer, the others' through
        a second one, in no order between the two. A batch waits at most `linger` to fill. `projects` names the
        bucket that the function fills and does nothing else, or several: `cartmesh rebuild` of one of them empties them
        all and calls it again for the whole log.
        The others are those of `Binding`. DeclarationError where its first parameter is not what it will be given.
        """
        self._check_kinds(kinds, reach)
        filled = projects if isinstance(projects, tuple) else (projects,)
        if one_copy and not filled:
            raise DeclarationError(f"{self.name}: only a projection can start again: one_copy needs projects")
        if consumer_per_event and not fanout:
            raise DeclarationError(f"{self.name}: a durable is one consumer: consumer_per_event needs fanout")
        if as_wanted and (fanout or filled):
            raise DeclarationError(f"{self.name}: a projection, or a fanout, takes all of its events: not as_wanted")

        def bind(handler: F) -> F:
            for bucket in filled:
                self._check_projection(handler, bucket)
            self.bindings.append(
                Binding(
                    service=self.name,
                    handler=handler,
                    kinds=kinds,
                    reach=reach,
                    batch=batch,
                    linger=linger,
                    concurrency=concurrency,
                    ack_wait=ack_wait,
                    retries=retries,
                    fanout=fanout,
                    since=since,
                    new_only=new_only,
                    consumer_per_event=consumer_per_event,
                    wants_received=self._wants_received(handler, in_batches=batch is not None),
                    projects=filled,
                    one_copy=one_copy,
                    as_wanted=as_wanted,
                    refills=refills,
                )
            )
            return handler

        return bind

    def _check_kinds(self, kinds: tuple[type[Event], ...], reach: Reach) -> None:
        if not kinds:
            raise DeclarationError(f"{self.name}: @on needs at least one event")
        for declaration in map(declaration_of, kinds):
            if reach == "mesh" and declaration.personal:
                raise DeclarationError(f"{self.name}: {declaration.type} is personal and never leaves its region")

    def _wants_received(self, handler: Callable[..., Any], *, in_batches: bool) -> bool:
        """Whether a handler takes `Received[...]` rather than the bare event."""
        first = first_parameter(handler, self.name)
        if in_batches:
            if get_origin(first) is not list:
                raise DeclarationError(f"{self.name}.{handler.__name__} takes batches: annotate list[...]")
            (first,) = get_args(first)
        return (get_origin(first) or first) is Received

    def _check_projection(self, handler: Callable[..., Any], projects: Bucket) -> None:
        if projects not in self.buckets or inspect.isasyncgenfunction(handler):
            raise DeclarationError(
                f"{self.name}.{handler.__name__} projects {projects.name}: it must be one of its buckets, "
                "and the function may not yield, or a rebuild would publish again"
            )

    def every(self, period: timedelta) -> Callable[[F], F]:
        """Call the function each `period` with the tick's time (aware UTC, a multiple of the period)."""

        def bind(handler: F) -> F:
            self.ticks.append(Tick(service=self.name, handler=handler, period=period))
            return handler

        return bind

    def answers(self, handler: F) -> F:
        """Answer requests: the parameter's and the return annotation are msgspec types."""
        question = first_parameter(handler, self.name)
        answer = get_type_hints(handler).get("return")
        if answer is None:
            raise DeclarationError(f"{self.name}.{handler.__name__} answers: annotate what it returns")
        self.answered.append(Answer(service=self.name, handler=handler, question=question, answer=answer))
        return handler

    def accepts(
        self,
        *kinds: type[Event],
        by: tuple[str, ...] = (PAGE, SERVER),
        publishes: tuple[type[Event], ...] = (),
        ordered_by: tuple[str, ...] | None = None,
        check: Callable[[Any], Any] | None = None,
        refused: Callable[..., AsyncIterator[Any]] | None = None,
        required: tuple[str, ...] = (),
        either: tuple[str, ...] = (),
        whole: bool = False,
        history: bool = False,
    ) -> Callable[[F], F]:
        """Take these events from outside, sent by these; `publishes` is what the function yields besides them.

        The function takes a `Sent` and yields changes. It is called again after a Conflict, and refuses with
        InvalidField. Events of one request that have the same key (or else the first value among the fields
        `ordered_by`) are stored in order. `check` judges an event by itself; `refused` yields what an event that was
        refused still establishes; `required` are fields that are always sent though they may be absent in the stream,
        of the fields in `either` one at least is sent, and `whole` refuses what would otherwise be taken without a bad
        optional field (see `Acceptance`). With `history` they may also be sent as ones from before the shop used
        Cartmesh, see `Sent.history`.
        Raises DeclarationError for an event that the service does not publish.
        """

        def bind(handler: F) -> F:
            for kind in kinds:
                self._accept(
                    handler,
                    kind,
                    by=by,
                    publishes=(kind, *publishes),
                    ordered_by=(declaration_of(kind).key,) if ordered_by is None else ordered_by,
                    check=check,
                    refused=refused,
                    required=required,
                    either=either,
                    whole=whole,
                    history=history,
                )
            return handler

        return bind

    def joins(self, *kinds: type[Event], publishes: tuple[type[Event], ...] = ()) -> Callable[[F], F]:
        """Add to the commit in which another service accepts these events: what the function yields, or nothing of it.

        Raises DeclarationError where the service does not publish what it names in `publishes`.
        """

        def bind(handler: F) -> F:
            for kind in kinds:
                self._accept(handler, kind, publishes=publishes, joins=True)
            return handler

        return bind

    def _accept(self, handler: Callable[..., Any], kind: type[Event], **options: Any) -> None:
        declaration_of(kind)
        first_parameter(handler, self.name)
        if missing := [one.__name__ for one in options["publishes"] if one not in self.publishes]:
            raise DeclarationError(f"{self.name}.{handler.__name__}: {', '.join(missing)} must stand in its publishes")
        self.acceptances.append(Acceptance(service=self.name, handler=handler, kind=kind, **options))

    def translates(self, source: str, *paths: str) -> Callable[[Callable[[], Adapter]], Callable[[], Adapter]]:
        """Take requests in the form of `source` at these addresses: the function builds the adapter at start."""

        def bind(build: Callable[[], Adapter]) -> Callable[[], Adapter]:
            summary = (inspect.getdoc(build) or "").partition("\n")[0]
            made = Translation(service=self.name, source=token(source), paths=paths, build=build, summary=summary)
            self.translations.append(made)
            return build

        return bind

    def fetches(self, build: Callable[[], list[Feed]]) -> Callable[[], list[Feed]]:
        """Take what these feeds fetch: the function builds them at start, where requests are taken."""
        self.feeds.append(build)
        return build

    def resource(self, opened: F) -> F:
        """An async generator that yields once: opened at start, closed after the drain, injected by its type."""
        hint = get_type_hints(opened).get("return")
        if get_origin(hint) is None or not inspect.isasyncgenfunction(opened):
            raise DeclarationError(f"{self.name}.{opened.__name__}: an async generator -> AsyncIterator[TheResource]")
        self.resources[get_args(hint)[0]] = opened
        return opened

    def http(self, build: F) -> F:
        """The function that builds this service's ASGI app; its parameters are filled by type."""
        self.app = build
        return build

    def page(self, path: str, *, title: str, role: str, section: str = "", position: int = 0) -> Callable[[F], F]:
        """The function that builds a page of the console: called with the `Console` it belongs to; see `Page`."""

        def declare(build: F) -> F:
            page = Page(
                service=self.name, path=path, title=title, role=role, section=section, build=build, position=position
            )
            self.pages.append(page)
            return build

        return declare

    @property
    def consumes(self) -> bool:
        """Whether it has handlers of events, or will have some."""
        return bool(self.bindings) or self.binds_later

    @property
    def serves_http(self) -> bool:
        """Whether it has an HTTP interface: an app, pages, or both."""
        return self.app is not None or bool(self.pages)

    @property
    def needs_process(self) -> bool:
        """Whether something of it must run; what it accepts is hosted by another service's process."""
        return bool(self.consumes or self.ticks or self.answered or self.serves_http or self.resets_copies)

    @property
    def hosted(self) -> bool:
        """Whether it only accepts events from outside: its host stores them, and it needs no user of its own."""
        return bool(self.acceptances) and not self.needs_process

    @property
    def summary(self) -> str:
        """The first line of its module's docstring."""
        return (inspect.getdoc(sys.modules.get(self.module)) or "").partition("\n")[0]
