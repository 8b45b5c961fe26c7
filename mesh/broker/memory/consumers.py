"""Consumers: a place in a log shared by its receivers, and what was delivered and not yet answered."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from mesh.broker.memory.alarms import Alarms
from mesh.broker.memory.log import Log, Watcher
from mesh.broker.protocol import ConsumerState, Message
from mesh.errors import Unavailable
from mesh.streams import ConsumerSpec
from mesh.subjects import matches


class Consumer:
    """A durable pull consumer with explicit acknowledgement, or a private one without (`acks=False`)."""

    def __init__(self, log: Log, spec: ConsumerSpec, alarms: Alarms, *, after: int, acks: bool = True) -> None:
        self.spec, self._log, self._alarms, self._acks = spec, log, alarms, acks
        self._place, self._begun = after, alarms.now()
        self._unseen = len([m for m in log.messages.values() if m.sequence > after and self._wants(m)])
        self._attempts: dict[int, int] = {}
        self._due: dict[int, datetime] = {}
        self._armed: datetime | None = None
        self._waiting: deque[tuple[int, asyncio.Future[list[Message]]]] = deque()
        self.forget = log.watch(Watcher(self._appended, self._removed))

    def change(self, spec: ConsumerSpec) -> None:
        """Deliver from here on what `spec` says."""
        self.spec = spec
        self._unseen = len([m for m in self._log.messages.values() if m.sequence > self._place and self._wants(m)])

    def take(self, most: int) -> list[Message]:
        """Up to `most` messages that may be delivered now: those due again first, then new ones."""
        now = self._alarms.now()
        again = sorted(at for at, due in self._due.items() if due <= now)[:most]
        taken = [self._deliver(self._log.messages[at]) for at in again]
        while len(taken) < most and self._place < self._log.sequence:
            if self._acks and len(self._due) >= self.spec.max_ack_pending:
                break
            self._place += 1
            message = self._log.messages.get(self._place)
            if message and self._wants(message):
                self._unseen -= 1
                taken.append(self._deliver(message))
        return [replace(message, pending=self._unseen) for message in taken]

    async def fetch(self, most: int, wait: float) -> list[Message]:
        """Up to `most` messages; who waits longest is served first, with what there is."""
        if not self._waiting and (taken := self.take(most)):
            return taken
        answer: asyncio.Future[list[Message]] = asyncio.get_running_loop().create_future()
        self._waiting.append((most, answer))
        try:
            async with asyncio.timeout(max(wait, 0)):
                return await answer
        except TimeoutError:
            return _result(answer)
        except asyncio.CancelledError:
            for message in _result(answer):
                await message.nak(timedelta(0))
            raise

    @property
    def state(self) -> ConsumerState:
        """The consumer as a server's leader would report it."""
        again = sum(attempts > 1 for attempts in self._attempts.values())
        return ConsumerState(
            begun=self._begun,
            pending=self._unseen,
            ack_pending=len(self._due),
            redelivered=again,
            filters=frozenset(self.spec.filters),
        )

    def wake(self) -> None:
        """Let everyone who waits look up."""
        waiting, self._waiting = self._waiting, deque()
        for _, answer in waiting:
            if not answer.done():
                answer.set_result([])

    def _wants(self, message: Message) -> bool:
        return any(matches(pattern, message.subject) for pattern in self.spec.filters or (">",))

    def _deliver(self, message: Message) -> Message:
        at = message.sequence
        attempt = self._attempts.get(at, 0) + 1
        if self._acks:
            self._attempts[at] = attempt
            self._again(at, self.spec.ack_wait)
        return replace(message, headers=dict(message.headers), attempt=attempt, answer=self._answer(at))

    def _answer(self, at: int) -> Callable[[bytes], Awaitable[None]]:
        async def answer(what: bytes) -> None:
            if at not in self._due:
                return
            verb, _, options = what.partition(b" ")
            if verb == b"+WPI":
                self._again(at, self.spec.ack_wait)
            elif verb == b"-NAK":
                delay = json.loads(options)["delay"] if options else 0
                self._again(at, timedelta(microseconds=delay / 1000))
            else:
                self._done(at)
                self._serve()

        return answer

    def _done(self, at: int) -> None:
        self._due.pop(at, None)
        self._attempts.pop(at, None)

    def _again(self, at: int, delay: timedelta) -> None:
        self._due[at] = due = self._alarms.now() + delay
        if self._armed is None or due < self._armed:
            self._arm(due)

    def _arm(self, when: datetime) -> None:
        self._armed = when
        self._alarms.at(when, lambda: self._ring(when))

    def _ring(self, armed: datetime) -> None:
        if self._armed != armed:
            return
        self._armed = None
        now = self._alarms.now()
        later = [due for due in self._due.values() if due > now]
        if later:
            self._arm(min(later))
        if len(later) < len(self._due):
            self._serve()

    def _serve(self) -> None:
        while self._waiting:
            most, answer = self._waiting[0]
            if not answer.done():
                if not (taken := self.take(most)):
                    return
                answer.set_result(taken)
            self._waiting.popleft()

    def _appended(self, message: Message) -> None:
        if self._wants(message):
            self._unseen += 1
            self._serve()

    def _removed(self, message: Message) -> None:
        self._done(message.sequence)
        if message.sequence > self._place and self._wants(message):
            self._unseen -= 1


class Receiver:
    """The receiving end of a consumer; several may share one."""

    def __init__(self, consumer: Consumer, up: Callable[[], bool], closed: Callable[[], None] | None) -> None:
        self._consumer, self._up, self._closed, self._open = consumer, up, closed, True

    async def fetch(self, most: int, wait: float) -> list[Message]:
        """Up to `most` messages; returns as soon as there is one, or empty after `wait` seconds."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait
        await asyncio.sleep(0)
        while self._open:
            if not self._up():
                raise Unavailable(f"{self._consumer.spec.stream}: its servers are stopped")
            if (taken := await self._consumer.fetch(most, deadline - clock())) or clock() >= deadline:
                return taken
        return []

    async def close(self) -> None:
        """Stop receiving. What was received and not answered is delivered again later."""
        if self._open:
            self._open = False
            self._consumer.wake()
            if self._closed:
                self._closed()

    async def keep(self) -> None:
        """Nothing is received ahead of `fetch` here, so there is nothing to keep."""

    async def release(self) -> None:
        """Close: nothing is received ahead of `fetch` here, so there is nothing to give back."""
        await self.close()


def _result(answer: "asyncio.Future[list[Message]]") -> list[Message]:
    return answer.result() if answer.done() and not answer.cancelled() else []
