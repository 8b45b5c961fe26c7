"""Group commit: plans that are committed at about the same time share one atomic batch.

A batch costs the servers one round of agreement and one write, whatever it holds, so several plans in one are several
times cheaper than each by itself. Nothing else changes: each caller waits for its own outcome, ids stay the same, and
a plan that cannot be stored fails alone.
"""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta

from mesh.broker.protocol import Broker, Outgoing, Stored
from mesh.commit import PATIENCE, reported, store, store_singles, until_available
from mesh.errors import Unavailable
from mesh.observability import metrics
from mesh.publish import MAX_BATCH, Plan

IN_FLIGHT = 2
"""Batches of one committer that are on their way at once. While they are, the next group gathers.

The server takes 50 open batches per stream from all writers together, and groups grow as this gets smaller.
"""
MAX_BYTES = 4 << 20
"""The most bytes of bodies in one group."""


class GroupCommitter:
    """Commits plans in groups. One per connection; `linger` is how long the first of a group waits for others."""

    def __init__(
        self,
        broker: Broker,
        *,
        linger: timedelta = timedelta(0),
        in_flight: int = IN_FLIGHT,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._broker, self._linger, self._in_flight, self._patience = broker, linger, in_flight, patience
        self._queues: dict[str, _Queue] = {}

    async def commit(self, made: Plan) -> list[Stored]:
        """Store a plan as `mesh.commit.commit` does, its batch together with those of others.

        Raises Conflict, Denied, and Unavailable once `patience` is over, each for this plan alone.
        """
        with reported(self._broker, made):
            stored = [await self._queue(made.stream).join(made.batch)] if made.batch else []
            return stored + await store_singles(self._broker, made.singles, self._patience)

    def _queue(self, stream: str) -> "_Queue":
        if stream not in self._queues:
            self._queues[stream] = _Queue(self._broker, stream, self._linger, self._in_flight, self._patience)
        return self._queues[stream]


@dataclass(frozen=True, eq=False)
class _Member:
    """One plan's messages in a group, and who waits for what becomes of them."""

    messages: Sequence[Outgoing]
    touches: frozenset[str]
    size: int
    outcome: "asyncio.Future[Stored]"

    def succeed(self, stored: Stored) -> None:
        if not self.outcome.done():  # its caller may have given up
            self.outcome.set_result(stored)

    def fail(self, error: BaseException) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)


class _Queue:
    """The plans that wait for one stream."""

    def __init__(self, broker: Broker, stream: str, linger: timedelta, in_flight: int, patience: timedelta) -> None:
        self._broker, self._stream, self._linger, self._patience = broker, stream, linger, patience
        self._places = asyncio.Semaphore(in_flight)
        self._waiting: list[_Member] = []
        self._gathering: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    async def join(self, messages: Sequence[Outgoing]) -> Stored:
        """Wait for the next group and for what becomes of these messages in it."""
        member = _Member(
            messages,
            _touched(messages),
            sum(len(message.body) for message in messages),
            asyncio.get_running_loop().create_future(),
        )
        self._waiting.append(member)
        if self._gathering is None:
            # A context of its own: what a group does is not part of the first member's span.
            self._gathering = asyncio.get_running_loop().create_task(self._gather(), context=Context())
        return await member.outcome

    async def _gather(self) -> None:
        """Send groups until nothing waits."""
        try:
            while self._waiting:
                await asyncio.sleep(self._linger.total_seconds())
                await self._places.acquire()
                sending = asyncio.create_task(self._send_and_leave(self._take()))
                self._sending.add(sending)
                sending.add_done_callback(self._sending.discard)
        finally:
            self._gathering = None

    def _take(self) -> list[_Member]:
        """The next group: plans that have no subject and no id in common, in the order in which they came.

        The server checks every condition against the state before the batch, and refuses one behind a message of its
        subject; so plans that touch the same subject are stored one after the other.
        """
        group: list[_Member] = []
        later: list[_Member] = []
        touched: set[str] = set()
        messages = size = 0
        for member in self._waiting:
            if member.outcome.done():
                continue
            fits = messages + len(member.messages) <= MAX_BATCH and (not group or size + member.size <= MAX_BYTES)
            if fits and touched.isdisjoint(member.touches):
                group.append(member)
                messages, size = messages + len(member.messages), size + member.size
            else:
                later.append(member)
            touched |= member.touches
        self._waiting = later
        return group

    async def _send_and_leave(self, group: list[_Member]) -> None:
        try:
            await self._send(group)
        except BaseException as error:
            for member in group:
                member.fail(error)
            raise
        finally:
            self._places.release()

    async def _send(self, group: list[_Member]) -> None:
        if len(group) <= 1:
            for member in group:
                await self._send_alone(member)
            return
        messages = [message for member in group for message in member.messages]
        try:
            last = await until_available(
                lambda: self._broker.store_batch(self._stream, messages), self._stream, self._patience
            )
        except Unavailable as error:
            for member in group:
                member.fail(error)
        except Exception:  # noqa: BLE001  one of them is refused or was stored before: halve until it stands alone
            await self._send(group[: len(group) // 2])
            await self._send(group[len(group) // 2 :])
        else:
            metrics.PUBLISHED.labels(self._stream).inc(len(messages))
            behind = len(messages)
            for member in group:
                behind -= len(member.messages)
                member.succeed(Stored(last.sequence - behind))

    async def _send_alone(self, member: _Member) -> None:
        try:
            member.succeed(await store(self._broker, self._stream, member.messages, self._patience))
        except Exception as error:  # noqa: BLE001  it is raised where the plan was committed
            member.fail(error)


def _touched(messages: Sequence[Outgoing]) -> frozenset[str]:
    """All subjects that the messages change or are conditional on, and their ids."""
    found: set[str] = set()
    for message in messages:
        found.add(message.subject)
        if message.expect is not None:
            found.add(message.expect.subject)
        if message.cancels is not None:
            found.add(message.cancels)
        if message.id is not None:
            found.add(f"id {message.id}")
    return frozenset(found)
