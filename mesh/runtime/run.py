"""Running services: open resources, bind handlers, serve HTTP, drain on SIGTERM."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec

from mesh.binding import Answer, Binding, Bindings, Interest, Tick
from mesh.broker.protocol import Deliveries
from mesh.consume import Consumer
from mesh.dead_letters import Redo, Redone, original
from mesh.errors import Conflict, Unavailable
from mesh.event import Event, declaration_of
from mesh.mesh import Mesh
from mesh.observability import metrics, tracing
from mesh.observability.logs import log
from mesh.parameters import fill
from mesh.past_events import REQUEST, PastHandled, past_events
from mesh.personal_data import encrypts
from mesh.publish import Cause, Change, Draft
from mesh.runtime.http_app import http_app
from mesh.runtime.serving import serving
from mesh.service import Service
from mesh.streams import copies, dead_stream
from mesh.timers import Timer

_T = TypeVar("_T")

START_PATIENCE = timedelta(seconds=60)
"""How long a service waits at its start for streams that are not ready yet."""


class Running:
    """A service at work. `ready` once everything is bound; `port` of its HTTP server, if it has one."""

    def __init__(self, service: Service, mesh: Mesh) -> None:
        self.service, self.mesh = service, mesh
        mesh.personal_data.readable = service.reads_personal_data or service.hosts or encrypts(service.publishes)
        self.provided: dict[type, Any] = {Mesh: mesh}
        if service.binds_later:
            self.provided[Bindings] = LateBindings(self)
        if any(binding.as_wanted for binding in service.bindings):
            self.provided[Interest] = NarrowedBindings(service, mesh)
        self.ready = False
        self.port: int | None = None
        self._consumers: dict[str, Consumer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ticking: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Bind every handler, tick and answer."""
        for binding in self.service.bindings:
            await (self._follow(binding) if binding.fanout else self.bind(binding))
        for tick in self.service.ticks:
            self._ticking.append(asyncio.create_task(self._tick(tick)))
        region, broker = self.mesh.region, self.mesh.broker
        for answer in self.service.answered:
            await broker.serve(answer.subject(region), self.service.name, self._answering(answer))
        if self.service.consumes:
            await broker.serve(f"rpc.{region}.{self.service.name}.redo", self.service.name, self._redo)
        if any(binding.projects for binding in self.service.bindings):
            await broker.serve(f"rpc.{region}.{self.service.name}.{REQUEST}", self.service.name, self._handle_past)
        if self.service.resets_copies:
            copied = [copy for other in self.mesh.others for copy in copies(self.mesh.layout, region, target=other)]
            await broker.serve_copy_resets(copied)
        self.ready = True
        metrics.RUNNING.labels(self.service.name).set(1)
        self.mesh.readiness_checks.append(self.unready)

    def unready(self) -> str | None:
        """Why it should not be asked for anything yet, or any more; None when it is ready."""
        if not self.ready:
            return f"{self.service.name} is stopping"
        behind = [name for name, consumer in self._consumers.items() if not consumer.caught_up]
        return f"{self.service.name} still reads {', '.join(behind)}" if behind else None

    def drain(self) -> None:
        """End what would stay open for ever, as event streams do."""
        for end in self.mesh.on_drain:
            end()

    async def stop(self) -> None:
        """Finish what was begun, fetch nothing more."""
        self.ready = False
        metrics.RUNNING.labels(self.service.name).set(0)
        for consumer in self._consumers.values():
            consumer.stop()
        for task in self._ticking:
            task.cancel()
        await asyncio.gather(*self._tasks.values(), *self._ticking, return_exceptions=True)

    async def bind(self, binding: Binding, *, make: bool = False) -> None:
        """Consume for a handler; with `make` through durables that are made here. Raises Unavailable."""
        for spec in binding.consumers(self.mesh.region, self.mesh.layout):
            if make:
                await self.mesh.broker.make_durable(spec)
            deliveries = await _patiently(partial(self.mesh.broker.deliveries, spec))
            self._consume(binding, spec.stream, f"{spec.stream}/{spec.durable}", deliveries)

    async def unbind(self, durable: str) -> None:
        """Consume no more for a durable; what was begun is finished."""
        names = [name for name, consumer in self._consumers.items() if consumer.binding.durable == durable]
        for name in names:
            self._consumers[name].stop()
        await asyncio.gather(*(self._tasks.pop(name) for name in names), return_exceptions=True)
        for name in names:
            self._consumers.pop(name)

    async def _follow(self, binding: Binding) -> None:
        since = datetime.now(UTC) - binding.since if binding.since is not None else None
        for stream, filters in binding.filters(self.mesh.region, self.mesh.layout).items():
            for part in [(one,) for one in filters] if binding.consumer_per_event else [filters]:
                name = f"{stream}/{binding.durable}" + (f" ({part[0]})" if binding.consumer_per_event else "")
                self._consume(binding, stream, name, await self._followed(stream, part, since))

    async def _followed(self, stream: str, filters: tuple[str, ...], since: datetime | None) -> Deliveries:
        """A private consumer; waits for a stream whose leader is still being elected."""
        return await _patiently(partial(self.mesh.broker.follow, stream, filters, since))

    def _consume(self, binding: Binding, stream: str, name: str, deliveries: Deliveries) -> None:
        consumer = self._consumers[name] = Consumer(binding, stream, deliveries, self.mesh, self.provided)
        self._tasks[name] = asyncio.create_task(consumer.run(), name=name)

    async def _tick(self, tick: Tick) -> None:
        extra, period = fill(tick.handler, self.provided), tick.period.total_seconds()
        while True:
            now = datetime.now(UTC).timestamp()
            await asyncio.sleep(period - now % period)
            at = datetime.fromtimestamp(round(datetime.now(UTC).timestamp() / period) * period, UTC)
            try:
                made = tick.handler(at, **extra)
                changes = [change async for change in made] if hasattr(made, "__aiter__") else list(await made or ())
                if changes:
                    await self._publish(changes, tick, at)
            except Conflict:
                continue  # another replica was first
            except Exception as error:  # noqa: BLE001  the next tick comes whatever happened to this one
                log.error("tick failed", service=tick.service, tick=tick.name, error=repr(error))

    async def _publish(self, changes: list[Change], tick: Tick, at: datetime) -> None:
        """Commit what a tick yielded. It begins a trace, unless all of it expires soon, as heartbeats do."""
        cause = Cause(id=at.isoformat(), source=f"{tick.service}.{tick.name}")
        events = [change.event if isinstance(change, Draft | Timer) else change for change in changes]
        if all(declaration_of(type(event)).ttl is not None for event in events if isinstance(event, Event)):
            await self.mesh.commit(changes, cause)
            return
        with tracing.span(f"tick {tick.service}-{tick.name}", "internal", service=tick.service) as span:
            await self.mesh.commit(changes, replace(cause, traceparent=span.trace))

    def _answering(self, answer: Answer) -> Callable[[bytes], Awaitable[bytes]]:
        extra = fill(answer.handler, self.provided)
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(answer.question)

        async def respond(body: bytes) -> bytes:
            return msgspec.json.encode(await answer.handler(decoder.decode(body), **extra))

        return respond

    async def _redo(self, body: bytes) -> bytes:
        asked = msgspec.json.decode(body, type=Redo)
        message = await self.mesh.broker.get(dead_stream(self.mesh.region), asked.sequence)
        if message is None:
            return msgspec.json.encode(Redone(error=f"no dead letter {asked.sequence}"))
        consumer = next((c for c in self._consumers.values() if c.binding.durable == asked.durable), None)
        if consumer is None:
            return msgspec.json.encode(Redone(error=f"{self.service.name} has no handler {asked.durable}"))
        return msgspec.json.encode(Redone(error=await consumer.redo(original(message))))

    async def _handle_past(self, body: bytes) -> bytes:
        durable, messages = past_events(body)
        consumer = next((c for c in self._consumers.values() if c.binding.durable == durable), None)
        if consumer is None or not consumer.binding.projects:
            error = f"{self.service.name} has no handler {durable} that fills a bucket"
            return msgspec.msgpack.encode(PastHandled(error=error))
        return msgspec.msgpack.encode(await consumer.handle_past(messages))


class LateBindings:
    """`mesh.binding.Bindings` of a service at work."""

    def __init__(self, run: Running) -> None:
        self._run = run

    async def add(self, binding: Binding) -> None:
        """See Bindings."""
        await self._run.bind(binding, make=True)

    async def remove(self, durable: str) -> None:
        """See Bindings."""
        await self._run.unbind(durable)


class NarrowedBindings:
    """`mesh.binding.Interest` of a service at work."""

    def __init__(self, service: Service, mesh: Mesh) -> None:
        self._service, self._mesh = service, mesh

    async def want(self, handler: Callable[..., Any], kinds: Collection[type[Event]]) -> None:
        """See Interest."""
        for binding in self._service.bindings:
            if binding.as_wanted and binding.handler is handler:
                for spec in binding.narrowed(kinds, self._mesh.region, self._mesh.layout):
                    await self._mesh.broker.make_durable(spec)


@asynccontextmanager
async def running(service: Service, mesh: Mesh, *, http: tuple[str, int] | None = None) -> AsyncIterator[Running]:
    """The service at work until the block ends: then it drains. `http` is where to listen (port 0: any free one).

    Without `http` a service's HTTP app is not served. Raises what its resources raise.
    """
    run = Running(service, mesh)
    async with AsyncExitStack() as stack:
        for kind, opened in service.resources.items():
            extra = fill(opened, run.provided, skip=0)
            run.provided[kind] = await _patiently(partial(_enter, stack, asynccontextmanager(opened), extra))
        await run.start()
        stack.push_async_callback(run.stop)
        if service.serves_http and http is not None:
            run.port = await stack.enter_async_context(serving(http_app(service, run.provided), *http))
        stack.callback(run.drain)  # the HTTP server waits for answers that are under way
        yield run


async def _enter(
    stack: AsyncExitStack, opened: Callable[..., AbstractAsyncContextManager[Any]], extra: dict[str, Any]
) -> Any:
    return await stack.enter_async_context(opened(**extra))


async def _patiently(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """What `attempt` returns; it is made again while the region is Unavailable, for `START_PATIENCE` at most."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + START_PATIENCE.total_seconds()
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            if clock() > deadline:
                raise
            log.warning("not available yet; asking again", error=str(error))
            await asyncio.sleep(0.25)


@contextmanager
def until_asked_to_stop() -> Iterator[asyncio.Event]:
    """An event that SIGINT or SIGTERM sets."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
