"""Consuming: the messages of one handler are fetched, handed to it, and answered. One loop per handler and stream.

`mesh.handle` calls the handler and commits, `mesh.failures` decides what becomes of a message that was not handled,
`mesh.observability.handling` reports.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from mesh.binding import Binding
from mesh.broker.protocol import Deliveries, Message
from mesh.causation import handling
from mesh.envelope import Received
from mesh.errors import Bury, InvalidEvent, MeshError, Retry, Unavailable, UnknownEvent
from mesh.event import declaration_of
from mesh.failures import FailurePolicy
from mesh.handle import Handler
from mesh.mesh import Mesh, received
from mesh.observability.handling import Handling
from mesh.observability.logs import log
from mesh.past_events import PastHandled

GRACE = timedelta(seconds=20)
"""How long handlers may finish when the service stops."""
_PREFETCH = 8
_FIRST_WAIT = 0.2


class Consumer:
    """Runs one binding on one stream. `run` returns after `stop` once what was begun is finished."""

    def __init__(
        self, binding: Binding, stream: str, deliveries: Deliveries, mesh: Mesh, provided: dict[type, Any]
    ) -> None:
        """`stream` is where the deliveries come from; `provided` maps types to values that handlers may ask for."""
        self.binding, self._deliveries = binding, deliveries
        self._telemetry = Handling(service=binding.service, durable=binding.durable, stream=stream, region=mesh.region)
        self._handler = Handler(binding, mesh, provided, self._telemetry)
        self._failures = FailurePolicy(binding, mesh, self._telemetry)
        self._stopping = asyncio.Event()
        self._waiting: asyncio.Timeout | None = None
        self._in_hand: dict[int, Message] = {}
        self._workers: set[asyncio.Task[None]] = set()
        # A durable's backlog is work for whoever is ready; a memory of one's own is filled first.
        self.caught_up = not (binding.fanout and binding.since)
        """Whether it has once been given everything there was."""

    async def run(self) -> None:
        """Handle messages until stopped. Losing the broker pauses the loop and never ends it."""
        progress = asyncio.create_task(self._signal_progress())
        try:
            while not self._stopping.is_set():
                try:
                    await (self._one_batch() if self.binding.batch else self._one_round())
                except MeshError as error:
                    log.warning("fetch failed", durable=self.binding.durable, error=str(error))
                    await asyncio.sleep(1)
            if self._workers:
                await asyncio.wait(self._workers, timeout=GRACE.total_seconds())
        finally:
            progress.cancel()
            for worker in self._workers:
                worker.cancel()
            await self._deliveries.release()
            await self._deliveries.close()

    def stop(self) -> None:
        """Fetch nothing more, and wait no longer for what may come."""
        self._stopping.set()
        if self._waiting is not None:
            self._waiting.reschedule(0)
            self._waiting = None

    async def redo(self, message: Message) -> str | None:
        """Handle a dead letter again. None when it succeeded, else why it did not."""
        try:
            given = received(message)
            with self._telemetry.span([given]), handling(given.id):
                await self._handler.handle([given])
        except Exception as error:  # noqa: BLE001  whatever it is, the operator learns it
            log.exception("redrive failed", durable=self.binding.durable)
            return f"{type(error).__name__}: {error}"
        return None

    async def handle_past(self, messages: Sequence[Message]) -> PastHandled:
        """Handle events that the stream no longer delivers, in order; nothing is acknowledged.

        What is no event of the handler's is passed over, and what cannot be handled is a dead letter, as ever. What may
        be handled later is to be given `again`.
        """
        given = [(message, one) for message in messages if (one := self._past_event(message)) is not None]
        size = self.binding.batch or 1
        try:
            for at in range(0, len(given), size):
                batch = given[at : at + size]
                try:
                    await self._handler.handle([one for _, one in batch])
                except (Retry, Unavailable):
                    raise
                except Exception:  # noqa: BLE001  one of them is bad: find it
                    for message, one in batch:
                        await self._handle_past_alone(message, one)
        except (Retry, Unavailable) as error:
            return PastHandled(error=f"{type(error).__name__}: {error}", again=True)
        return PastHandled()

    def _past_event(self, message: Message) -> Received | None:
        with suppress(InvalidEvent):
            given = received(message)
            return given if type(given.event) in self.binding.kinds else None
        return None

    async def _handle_past_alone(self, message: Message, given: Received) -> None:
        try:
            await self._handler.handle([given])
        except (Retry, Unavailable):
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, an operator finds it with its reason
            log.exception("past event failed", durable=self.binding.durable, sequence=message.sequence)
            reason = f"{type(error).__name__}: {error}"
            await self._failures.park(message, reason, error)

    # One message at a time, by several workers side by side

    async def _one_round(self) -> None:
        free = self.binding.concurrency - len(self._workers)
        if free <= 0:
            await asyncio.wait(self._workers, return_when=asyncio.FIRST_COMPLETED)
            return
        messages = await self._fetch(free * _PREFETCH)
        if not messages:
            return
        self._telemetry.waiting(messages[-1].pending)
        self._in_hand.update((id(message), message) for message in messages)
        for at in range(min(free, len(messages))):
            worker = asyncio.create_task(self._work(messages[at::free]))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self, messages: list[Message]) -> None:
        for message in messages:
            try:
                if self._stopping.is_set():
                    await self._failures.give_back(message)
                else:
                    with self._telemetry.timed():
                        await self._handle_one(message)
            finally:
                self._in_hand.pop(id(message), None)

    async def _handle_one(self, message: Message) -> None:
        """Open one message, handle it and answer it, whatever happens."""
        given = await self._open(message)
        if given is not None:
            await self._handle([(message, given)])

    # Many messages at once

    async def _one_batch(self) -> None:
        most = self.binding.batch or 1
        messages = await self._fetch(most)
        if not messages:
            return
        deadline = asyncio.get_running_loop().time() + self.binding.linger.total_seconds()
        while len(messages) < most and (left := deadline - asyncio.get_running_loop().time()) > 0:
            messages += await self._deliveries.fetch(most - len(messages), left)
        self._telemetry.waiting(messages[-1].pending)
        self._in_hand.update((id(message), message) for message in messages)
        try:
            with self._telemetry.timed():
                opened = [(message, await self._open(message)) for message in messages]
                good = [(message, given) for message, given in opened if given is not None]
                if good and not await self._handle(good):
                    for one in good:  # one of them is bad: find it
                        await self._handle([one])
        finally:
            for message in messages:
                self._in_hand.pop(id(message), None)

    # Both

    async def _fetch(self, most: int) -> list[Message]:
        """What there is; nothing where `stop` came first. What had been delivered by then, `release` gives back."""
        try:
            async with asyncio.timeout(None) as self._waiting:
                messages = await self._deliveries.fetch(most, 1.0 if self.caught_up else _FIRST_WAIT)
        except TimeoutError:
            if not self._stopping.is_set():
                raise
            return []
        finally:
            self._waiting = None
        self.caught_up = self.caught_up or not messages or not messages[-1].pending
        return messages

    async def _open(self, message: Message) -> Received | None:
        """The event in a message. None when it is not handled now: it was given up, or will be retried."""
        try:
            given = received(message)
            if type(given.event) not in self.binding.kinds:
                type_ = declaration_of(type(given.event)).type
                raise UnknownEvent(type_, f"{self.binding.durable} does not take {message.subject}")
            if message.attempt == 1:
                self._telemetry.delivered(message.stored)
            await self._failures.admit(message)
        except UnknownEvent as error:
            await self._failures.unknown(message, error)
        except (InvalidEvent, Bury) as error:
            await self._failures.give_up(message, str(error), invalid=isinstance(error, InvalidEvent))
        except MeshError as error:
            await self._failures.failed(message, error)
        else:
            return given
        return None

    async def _handle(self, batch: list[tuple[Message, Received]]) -> bool:
        """Handle and answer messages together; False when one of several is bad, and none was answered."""
        given = [one for _, one in batch]
        with self._telemetry.span(given) as outcome, handling(given[0].id if len(given) == 1 else None):
            try:
                await self._handler.handle(given)
            except Exception as error:  # noqa: BLE001  whatever a handler raises is retried or given up
                outcome.failed = type(error).__name__
                if len(batch) > 1 and not isinstance(error, Retry | Unavailable):
                    return False
                for message, _ in batch:
                    await self._failures.failed(message, error)
                return True
            for message, _ in batch:
                await self._done(message)
        return True

    async def _done(self, message: Message) -> None:
        try:
            await self._failures.done(message)
        except MeshError as error:
            await self._failures.failed(message, error)

    async def _signal_progress(self) -> None:
        """Tell the server that what is in hand is being worked on, so that slow work is not done twice."""
        while True:
            await asyncio.sleep(self.binding.ack_wait.total_seconds() / 3)
            if self.binding.fanout:
                continue
            with suppress(Exception):
                for message in list(self._in_hand.values()):
                    await message.progress()
                await self._deliveries.keep()
