"""The loop: fetch, decode, handle, commit, acknowledge; or retry, or park. One loop per handler and stream."""

import asyncio
import inspect
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from time import perf_counter, time, time_ns
from typing import Any

from mesh.broker.protocol import Deliveries, Message
from mesh.dead_letters import park
from mesh.envelope import Received, derive_id
from mesh.errors import Bury, Conflict, InvalidEvent, MeshError, Retry, Unavailable
from mesh.event import declaration_of
from mesh.mesh import Mesh, received
from mesh.observability import metrics, tracing
from mesh.observability.logs import log
from mesh.observability.tracing import Work
from mesh.publish import Cause, Change
from mesh.service import Binding, fill

CONFLICTS = 25
"""How often a handler decides again because something happened meanwhile, before the message is retried later."""
CRASHES = 40
"""Deliveries after which a message is parked even if no failure was ever seen: it takes the process with it."""
GRACE = timedelta(seconds=20)
"""How long handlers may finish when the service stops."""
_PREFETCH = 8
_FIRST_WAIT = 0.2


class Consumer:
    """Runs one binding on one stream. `run` returns after `stop` once what was begun is finished."""

    def __init__(self, binding: Binding, deliveries: Deliveries, mesh: Mesh, provided: dict[type, Any]) -> None:
        """`provided` maps types to the values that handlers may ask for."""
        self.binding, self.mesh = binding, mesh
        self._deliveries = deliveries
        self._extra = fill(binding.handler, provided)
        self._generates = inspect.isasyncgenfunction(binding.handler)
        self._source = f"{binding.service}.{binding.name}"
        self._told: dict[str, str | int] = {
            "messaging.system": "nats",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": next(iter(binding.filters(mesh.region)), ""),
            "messaging.consumer.group.name": binding.durable,
            "cartmesh.region": mesh.region,
        }
        self._stopping = asyncio.Event()
        self._held: dict[int, Message] = {}
        self._lanes: set[asyncio.Task[None]] = set()
        self._failures: dict[int, int] = {}
        self._handled: Callable[[str], Any] = lambda outcome: metrics.HANDLED.labels(binding.durable, outcome)
        self._acked = metrics.HANDLED.labels(binding.durable, "done")
        self._seconds = metrics.HANDLING.labels(binding.durable)
        self._delay = metrics.DELAY.labels(binding.durable)
        for outcome in ("failed", "parked"):
            self._handled(outcome)  # counted from 0: a first failure shows as an increase
        self._pending = metrics.PENDING.labels(binding.durable)
        # A durable's backlog is work for whoever is ready; a memory of one's own is filled first.
        self.caught_up = not (binding.fanout and binding.since)
        """Whether it has once been given everything there was."""

    async def run(self) -> None:
        """Handle messages until stopped. Losing the broker pauses the loop and never ends it."""
        keeper = asyncio.create_task(self._keep())
        try:
            while not self._stopping.is_set():
                try:
                    await (self._one_batch() if self.binding.batch else self._one_round())
                except MeshError as error:
                    log.warning("fetch failed", durable=self.binding.durable, error=str(error))
                    await asyncio.sleep(1)
            if self._lanes:
                await asyncio.wait(self._lanes, timeout=GRACE.total_seconds())
        finally:
            keeper.cancel()
            for lane in self._lanes:
                lane.cancel()
            await self._deliveries.release()
            await self._deliveries.close()

    def stop(self) -> None:
        """Fetch nothing more."""
        self._stopping.set()

    async def redo(self, message: Message) -> str | None:
        """Handle a message again that was parked. None when it succeeded, else why it did not."""
        try:
            given = received(message)
            token = tracing.enter(self._work(given))
            try:
                await self._decide([given] if self.binding.batch else given)
            finally:
                tracing.leave(token)
        except Exception as error:  # noqa: BLE001  whatever it is, the operator is told
            log.exception("redrive failed", durable=self.binding.durable)
            return f"{type(error).__name__}: {error}"
        return None

    # One message at a time, in lanes side by side

    async def _one_round(self) -> None:
        free = self.binding.concurrency - len(self._lanes)
        if free <= 0:
            await asyncio.wait(self._lanes, return_when=asyncio.FIRST_COMPLETED)
            return
        messages = await self._fetch(free * _PREFETCH)
        if not messages:
            return
        self._pending.set(messages[-1].pending)
        self._held.update((id(message), message) for message in messages)
        for at in range(min(free, len(messages))):
            lane = asyncio.create_task(self._lane(messages[at::free]))
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)

    async def _lane(self, messages: list[Message]) -> None:
        for message in messages:
            if self._stopping.is_set():
                self._held.pop(id(message), None)
                await self._answer(message, "returned", delay=timedelta(0))
                continue
            await self._settle(message)

    async def _settle(self, message: Message) -> None:
        """Handle one message and answer it, whatever happens."""
        began, given, failed, token = perf_counter(), None, None, None
        began_ns = time_ns()
        try:
            given = await self._open(message)
            if given is not None:
                token = tracing.enter(self._work(given))
                await self._decide(given)
                await self._done(message)
        except Exception as error:  # noqa: BLE001  whatever a handler raises is retried or parked
            failed = type(error).__name__
            await self._failed(message, error)
        finally:
            self._held.pop(id(message), None)
            self._seconds.observe(perf_counter() - began)
            if given is not None and token is not None:
                self._tell(given, began_ns, failed)
                tracing.leave(token)

    # Many messages at once

    async def _one_batch(self) -> None:
        most = self.binding.batch or 1
        messages = await self._fetch(most)
        if not messages:
            return
        deadline = asyncio.get_running_loop().time() + self.binding.linger.total_seconds()
        while len(messages) < most and (left := deadline - asyncio.get_running_loop().time()) > 0:
            messages += await self._deliveries.fetch(most - len(messages), left)
        self._pending.set(messages[-1].pending)
        self._held.update((id(message), message) for message in messages)
        began = perf_counter()
        try:
            opened = [(message, await self._open(message)) for message in messages]
            good = [(message, given) for message, given in opened if given is not None]
            if good:
                await self._settle_batch(good)
        finally:
            for message in messages:
                self._held.pop(id(message), None)
            self._seconds.observe(perf_counter() - began)

    async def _settle_batch(self, batch: list[tuple[Message, Received]]) -> None:
        given, began_ns, failed = [one for _, one in batch], time_ns(), None
        token = tracing.enter(self._work(given))
        try:
            await self._decide(given)
        except Exception as error:  # noqa: BLE001  whatever a handler raises is retried or parked
            failed = type(error).__name__
            if len(batch) == 1 or isinstance(error, Retry | Unavailable):
                for message, _ in batch:
                    await self._failed(message, error)
                return
            for one in batch:  # one of them is bad: find it
                await self._settle_batch([one])
            return
        finally:
            self._tell(given, began_ns, failed)
            tracing.leave(token)
        for message, _ in batch:
            await self._done(message)

    async def _fetch(self, most: int) -> list[Message]:
        messages = await self._deliveries.fetch(most, 1.0 if self.caught_up else _FIRST_WAIT)
        self.caught_up = self.caught_up or not messages or not messages[-1].pending
        return messages

    # Deciding and answering

    async def _open(self, message: Message) -> Received | None:
        """The event in a message; what is none of ours is parked."""
        try:
            given = received(message)
            if type(given.event) not in self.binding.kinds:
                raise Bury(f"{self.binding.durable} does not take {message.subject}")
            if message.attempt == 1:
                self._delay.observe(max(0.0, time() - message.stored.timestamp()))
            if message.attempt > CRASHES:
                raise Bury(f"delivered {message.attempt} times and never answered")
        except (InvalidEvent, Bury) as error:
            await self._park(message, str(error))
            return None
        return given

    async def _decide(self, given: Received | list[Received]) -> None:
        """Call the handler and commit what it yields; on a conflict call it again."""
        for turn in range(CONFLICTS):
            changes = await self._call(given)
            if not changes:
                return
            try:
                await self.mesh.commit(changes, self._cause(given))
            except Conflict:
                self._handled("conflict").inc()
                await asyncio.sleep(random.uniform(0, 0.002 * (turn + 1)))  # noqa: S311  jitter, not a secret
            else:
                return
        raise Retry(f"{CONFLICTS} conflicts in a row", after=timedelta(milliseconds=200))

    async def _call(self, given: Received | list[Received]) -> list[Change]:
        first: Any = given
        if not self.binding.wants_received:
            first = [one.event for one in given] if isinstance(given, list) else given.event
        made = self.binding.handler(first, **self._extra)
        if self._generates:
            return [change async for change in made]
        return list(await made or ())

    def _cause(self, given: Received | list[Received]) -> Cause:
        work = tracing.current()
        trace, event = (work.trace, work.event) if work else (None, None)
        if isinstance(given, list):
            id_ = given[0].id if len(given) == 1 else derive_id(*(one.id for one in given))
            return Cause(id=id_, source=self._source, traceparent=trace, event=event)
        return Cause(id=given.id, source=self._source, traceparent=trace, event=given.id)

    # Telling what was done

    def _work(self, given: Received | list[Received]) -> Work:
        """What is about to be done: a span in the trace of the one event, or one of its own for many."""
        service = self.binding.service
        if isinstance(given, list):
            if len(given) == 1 and given[0].traceparent:
                return Work(tracing.following(given[0].traceparent), service, given[0].id)
            parts: dict[str, str | None] = {one.traceparent: None for one in given if one.traceparent}
            event = given[0].id if len(given) == 1 else None
            return Work(tracing.following(None) if tracing.listened() else None, service, event, parts)
        return Work(tracing.following(given.traceparent), service, given.id)

    def _tell(self, given: Received | list[Received], began: int, failed: str | None) -> None:
        """The spans of what was done (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/)."""
        work = tracing.current()
        if work is None or not (tracing.wants(work.trace) or work.parts):
            return
        many = given if isinstance(given, list) else [given]
        declaration = self._told | {"cartmesh.event.type": declaration_of(type(many[0].event)).type}
        name = f"process {self.binding.durable}"
        parent, links = many[0].traceparent, tuple[str, ...]()
        if len(many) == 1:
            declaration["messaging.message.id"] = many[0].id
        else:
            parent, links = None, tuple(work.parts)
            declaration["messaging.batch.message_count"] = len(many)
        span = partial(tracing.tell, name, "consumer", service=work.service, began=began, failed=failed)
        span(trace=work.trace, parent=parent, attributes=declaration, links=links)
        for before, made in work.parts.items():  # what followed from one of many has a span in that one's trace
            if made is not None:
                span(trace=made, parent=before, attributes=declaration, links=(work.trace,) if work.trace else ())

    async def _done(self, message: Message) -> None:
        self._failures.pop(message.sequence, None)
        if not self.binding.fanout:
            await message.ack()
        self._acked.inc()

    async def _failed(self, message: Message, error: Exception) -> None:
        match error:
            case _ if self.binding.fanout:
                log.error("failed", durable=self.binding.durable, sequence=message.sequence, error=repr(error))
                self._handled("failed").inc()
            case Retry(after=after):
                await self._answer(message, "retry", delay=after)
            case Unavailable():
                await self._answer(message, "unavailable", delay=_backoff(message.attempt))
            case Bury(reason=reason):
                await self._park(message, reason)
            case _:
                failures = self._failures[message.sequence] = self._failures.get(message.sequence, 0) + 1
                log.error(
                    "failed", durable=self.binding.durable, sequence=message.sequence, failures=failures, exc_info=error
                )
                if failures >= self.binding.retries:
                    await self._park(message, f"{type(error).__name__}: {error}", error)
                else:
                    await self._answer(message, "failed", delay=_backoff(failures))

    async def _park(self, message: Message, reason: str, error: BaseException | None = None) -> None:
        if self.binding.fanout:
            return
        try:
            await park(self.mesh, self.binding.service, self.binding.durable, message, reason, error)
        except MeshError as unparked:
            log.error("could not park", durable=self.binding.durable, error=str(unparked))
            await self._answer(message, "unavailable", delay=_backoff(message.attempt))
            return
        self._failures.pop(message.sequence, None)
        self._handled("parked").inc()
        with suppress(MeshError):
            await message.ack()

    async def _answer(self, message: Message, outcome: str, *, delay: timedelta) -> None:
        self._handled(outcome).inc()
        with suppress(MeshError):  # unanswered is as good: ack_wait delivers it again
            await message.nak(delay)

    async def _keep(self) -> None:
        """Tell the server that what is in hand is being worked on, so that slow work is not done twice."""
        while True:
            await asyncio.sleep(self.binding.ack_wait.total_seconds() / 3)
            if self.binding.fanout:
                continue
            with suppress(Exception):
                for message in list(self._held.values()):
                    await message.progress()
                await self._deliveries.keep()


def _backoff(failures: int) -> timedelta:
    """0.1 s doubling to 30 s, with jitter."""
    return timedelta(seconds=min(30.0, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0))  # noqa: S311  jitter
