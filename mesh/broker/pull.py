"""Pull: the receiving end of a JetStream consumer, with requests kept open ahead of the reader."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from secrets import token_hex

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error

from mesh.broker.connection import Connection, status
from mesh.broker.protocol import Message
from mesh.broker.wire import stored_at
from mesh.errors import MeshError, Unavailable
from mesh.observability.logs import log

EXPIRES = 30.0
HEARTBEAT = 2.0
SILENCE = 2.5 * HEARTBEAT
"""After so many seconds without a message a request counts as lost: its leader died or the connection changed."""
_NEVER_ENOUGH = 1_000_000
NOBODY = 0.5
"""Seconds until a consumer is asked for again that nobody serves just now."""
NOT_KNOWN_YET = 0.02
"""The same for one that was just made, at first; each time four times as long.

That it is there, and what its leader answered, may reach the other servers over two routes: in one of 100 readings on
three servers the first request found nobody.
"""
DRAINED = 2.0
"""Seconds the server has to confirm that it delivers nothing more."""


class _Request(msgspec.Struct):
    batch: int
    expires: int
    idle_heartbeat: int


class Pull:
    """Messages of one consumer, pulled ahead: the server always has room to deliver before the reader asks.

    The server's idle heartbeats show that a pull is alive; when they stay away (its leader died, the
    connection came back) it is asked again. `lost` recreates a consumer that is gone (private ones).
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        consumer: str,
        *,
        lost: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._connection, self._stream, self._consumer, self._lost = connection, stream, consumer, lost
        self._inbox = f"{connection.login.inbox_prefix}.{token_hex(8)}"
        self._buffer: deque[Message] = deque()
        self._wanted = 0
        self._arrived = asyncio.Event()
        self._lost_at = 0.0
        self._unserved = NOBODY if lost is None else NOT_KNOWN_YET
        self._known_soon = False
        self._closed = False
        self.sequence = 0
        """Stream sequence of the newest message received."""

    async def open(self) -> "Pull":
        """Subscribe to the inbox that the server delivers to."""
        self._subscription = await self._connection.client.subscribe(self._inbox, cb=self._take)
        self._connection.on_reconnect.append(self._forget)
        return self

    async def fetch(self, most: int, wait: float) -> list[Message]:
        """Up to `most` messages; as soon as there is one, or none after `wait` seconds."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait
        while True:
            await self._ask(most)
            if self._buffer:
                return [self._buffer.popleft() for _ in range(min(most, len(self._buffer)))]
            left = deadline - clock()
            if left <= 0 or self._closed:
                return []
            self._arrived.clear()
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), min(left, max(0.01, self._lost_at - clock())))

    async def close(self) -> None:
        """Stop receiving; what was buffered is delivered again after ack_wait."""
        self._closed = True
        self._arrived.set()
        with contextlib.suppress(ValueError):
            self._connection.on_reconnect.remove(self._forget)
        with contextlib.suppress(Error):
            await self._subscription.unsubscribe()

    async def keep(self) -> None:
        """Signal progress for what is buffered."""
        for message in list(self._buffer):
            await message.progress()

    async def release(self) -> None:
        """Receive nothing more and give back what was received, so that another replica gets it without waiting.

        The server may deliver until it has read that nobody subscribes: first that is waited for, then all is given
        back. Without a connection it is delivered again after ack_wait.
        """
        self._closed = True
        with contextlib.suppress(Error, TimeoutError):
            async with asyncio.timeout(DRAINED):
                await self._subscription.drain()  # type: ignore[no-untyped-call]
        with contextlib.suppress(Unavailable):
            while self._buffer:
                await self._buffer.popleft().nak(timedelta(0))

    def _forget(self) -> None:
        """The connection came back: what the server sent into the old one is gone, and so are the requests."""
        self._lost_at = 0.0
        self._arrived.set()

    async def _ask(self, most: int) -> None:
        now = asyncio.get_running_loop().time()
        if self._wanted and now >= self._lost_at:
            self._wanted = 0
            if self._lost is not None and not self._known_soon:
                await self._recreate(self._lost)
            self._known_soon = False
        if self._wanted > most // 2 or len(self._buffer) >= most or self._closed:
            return
        request = _Request(
            batch=2 * most - self._wanted, expires=int(EXPIRES * 1e9), idle_heartbeat=int(HEARTBEAT * 1e9)
        )
        self._wanted += request.batch
        self._lost_at = now + SILENCE
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        with contextlib.suppress(Error):  # while reconnecting: asked again when it is back
            await self._connection.client.publish(subject, msgspec.json.encode(request), reply=self._inbox)

    async def _recreate(self, lost: Callable[[], Awaitable[str]]) -> None:
        try:
            self._consumer = await lost()
        except MeshError as error:
            log.warning("consumer lost", stream=self._stream, error=str(error))

    async def _take(self, message: Msg) -> None:
        self._lost_at = asyncio.get_running_loop().time() + SILENCE
        if not message.reply or not message.reply.startswith("$JS.ACK."):
            self._noted(message)
            return
        self._unserved = NOBODY
        taken = delivered(message, self._connection)
        self._wanted -= 1
        self.sequence = taken.sequence
        self._buffer.append(taken)
        self._arrived.set()

    def _noted(self, message: Msg) -> None:
        code = status(message)
        if code in (None, "100"):
            return
        unsent = (message.headers or {}).get("Nats-Pending-Messages")
        self._wanted = max(0, self._wanted - int(unsent)) if unsent else 0
        if code == "503" or (code == "409" and "Consumer Deleted" in str(message.headers)):
            self._wanted = _NEVER_ENOUGH
            self._known_soon = code == "503" and self._unserved < NOBODY
            self._lost_at = asyncio.get_running_loop().time() + self._unserved
            self._unserved = min(4 * self._unserved, NOBODY)
        self._arrived.set()  # also for whoever waits longer than until it is asked for again


def delivered(message: Msg, connection: Connection) -> Message:
    """A delivered message with its place, read from the reply subject (`$JS.ACK...`, ADR-15)."""
    tokens = message.reply.split(".")
    start = 6 if len(tokens) > 9 else 4
    attempt, sequence, _, nanoseconds, pending = map(int, tokens[start : start + 5])
    headers = message.headers or {}
    return Message(
        subject=message.subject,
        body=message.data,
        sequence=sequence,
        stored=stored_at(headers, datetime.fromtimestamp(nanoseconds // 1000 / 1e6, UTC)),
        headers=headers,
        attempt=attempt,
        pending=pending,
        answer=partial(connection.publish, message.reply),
    )
