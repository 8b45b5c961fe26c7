"""Failure policy: what becomes of a message that was not handled. It is retried, or becomes a dead letter."""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta

import msgspec
from cachetools import LRUCache

from mesh.binding import Binding
from mesh.broker.protocol import Message
from mesh.dead_letters import store_dead_letter
from mesh.errors import Bury, MeshError, Retry, Unavailable, UnknownEvent
from mesh.mesh import Mesh
from mesh.observability.handling import Handling
from mesh.observability.logs import log
from mesh.settings import read
from mesh.unanswered import MOST_UNANSWERED, Unanswered


class RolloutSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a process retries events of a type that it does not know, from the first one on.

    While a release is rolled out its old pods are given what only the new ones know. After `rollout_window` such an
    event becomes a dead letter at once.
    """

    rollout_window: timedelta = timedelta(minutes=30)


_REMEMBERED = 10_000
"""Messages whose failures are counted at once: another replica may finish one that failed here."""


class FailurePolicy:
    """Answers the messages of one binding."""

    def __init__(self, binding: Binding, mesh: Mesh, telemetry: Handling) -> None:
        self._binding, self._mesh, self._telemetry = binding, mesh, telemetry
        self._failures: LRUCache[int, int] = LRUCache(_REMEMBERED)
        self._first_met: LRUCache[str, float] = LRUCache(_REMEMBERED)
        self._window = read(RolloutSettings).rollout_window.total_seconds()
        self._unanswered = Unanswered(mesh, binding.durable)

    async def admit(self, message: Message) -> None:
        """Raises Bury for a message that ended too many processes, and Unavailable when that cannot be known."""
        if self._binding.fanout:
            return
        ended = await self._unanswered.begin(message)
        if ended >= MOST_UNANSWERED:
            raise Bury(f"delivered {message.attempt} times; the last {ended} processes never answered")

    async def done(self, message: Message) -> None:
        """It was handled: acknowledge it. Raises Unavailable."""
        self._failures.pop(message.sequence, None)
        if not self._binding.fanout:
            await message.ack()
        self._telemetry.done()

    async def failed(self, message: Message, error: Exception) -> None:
        """It was not handled: retry it or give it up, as the error says."""
        match error:
            case _ if self._binding.fanout:
                log.error("failed", durable=self._binding.durable, sequence=message.sequence, error=repr(error))
                self._telemetry.answered("failed")
            case Retry(after=after):
                await self._again(message, "retry", after)
            case Unavailable():
                await self._again(message, "unavailable", backoff(message.attempt))
            case Bury(reason=reason):
                await self.give_up(message, reason)
            case _:
                await self._count(message, error)

    async def unknown(self, message: Message, error: UnknownEvent) -> None:
        """A newer program may know it: retry it while a rollout may be on, then give it up."""
        now = asyncio.get_running_loop().time()
        began = self._first_met.setdefault(error.type, now)
        if now - began < self._window and not self._binding.fanout:
            log.warning("unknown event", durable=self._binding.durable, type=error.type, attempt=message.attempt)
            await self._again(message, "unknown", backoff(message.attempt))
        else:
            await self.give_up(message, str(error), invalid=True)

    async def give_back(self, message: Message) -> None:
        """It was not begun: let another process have it at once."""
        await self._again(message, "returned", timedelta(0))

    async def give_up(
        self, message: Message, reason: str, error: BaseException | None = None, *, invalid: bool = False
    ) -> None:
        """Make it a dead letter, `invalid` where it is no event; while that is impossible it is retried."""
        if self._binding.fanout:
            return
        try:
            await self.park(message, reason, error, invalid=invalid)
        except MeshError as unavailable:
            log.error("dead letter not stored", durable=self._binding.durable, error=str(unavailable))
            await self._again(message, "unavailable", backoff(message.attempt))
            return
        self._failures.pop(message.sequence, None)
        self._telemetry.answered("dead_letter")
        with suppress(MeshError):
            await message.ack()

    async def park(
        self, message: Message, reason: str, error: BaseException | None = None, *, invalid: bool = False
    ) -> None:
        """Store it as a dead letter, and answer nothing. Raises Unavailable."""
        await store_dead_letter(
            self._mesh, self._binding.service, self._binding.durable, message, reason, error, invalid=invalid
        )

    async def _count(self, message: Message, error: Exception) -> None:
        durable, sequence = self._binding.durable, message.sequence
        failures = self._failures[sequence] = self._failures.get(sequence, 0) + 1
        log.error("failed", durable=durable, sequence=sequence, failures=failures, exc_info=error)
        if failures >= self._binding.retries:
            await self.give_up(message, f"{type(error).__name__}: {error}", error)
        else:
            await self._again(message, "failed", backoff(failures))

    async def _again(self, message: Message, outcome: str, delay: timedelta) -> None:
        self._telemetry.answered(outcome)
        with suppress(MeshError):  # unanswered is as good: it is delivered again after ack_wait
            await message.nak(delay)
            await self._unanswered.answered(message)


def backoff(failures: int) -> timedelta:
    """0.1 s doubling to 30 s, with jitter."""
    return timedelta(seconds=min(30.0, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0))  # noqa: S311  jitter
