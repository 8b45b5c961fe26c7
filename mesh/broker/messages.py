"""Messages of streams: stored one by one or in one commit, and read back by sequence or by subject."""

import asyncio
import base64
import heapq
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from secrets import token_hex

import msgspec
from nats.aio.msg import Msg

from mesh.broker.connection import Connection, status
from mesh.broker.protocol import Message, Outgoing, Stored
from mesh.broker.wire import (
    NOT_FOUND,
    decode_ack,
    decode_get,
    decode_info,
    is_first,
    outgoing_headers,
    parse_headers,
    read_message,
    refused,
    stored_at,
)
from mesh.errors import Conflict, DeclarationError, Duplicate, MeshError, Unavailable

READ_BATCH = 1000
READ_BYTES = 4 << 20
"""The most bytes that the server sends for one request. It closes a connection with 64 MB under way to it."""
READS, BEHIND, LONGEST = 30, 0.005, 1.0
"""How often what a server does not have yet is asked for; the first pause and the longest in seconds: they double."""
_ROUNDING = timedelta(microseconds=1)
_WRONG_SEQUENCE = {10071, 10164}
_DUPLICATE_IN_BATCH = 10201
_GONE = {"no message found", "stream store EOF"}
"""What the server says (10057) of a message to remove that is not there any more, or not yet."""


class Messages:
    """Stores and reads over one connection; the methods are those of Broker."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.region = connection.login.region

    async def store(self, stream: str, message: Outgoing) -> Stored:
        """Store one message; see Broker."""
        reply = await self.connection.request(message.subject, message.body, outgoing_headers(message))
        return self._acked(reply, stream, message.subject)

    async def store_each(self, stream: str, messages: Sequence[Outgoing]) -> list[Stored | MeshError]:
        """Store messages side by side; see Broker. All are sent before the first answer is waited for."""
        asked = [(message.subject, message.body, outgoing_headers(message)) for message in messages]
        outcomes: list[Stored | MeshError] = []
        for message, reply in zip(messages, await self.connection.request_each(asked), strict=True):
            try:
                outcomes.append(reply if isinstance(reply, MeshError) else self._acked(reply, stream, message.subject))
            except MeshError as error:
                outcomes.append(error)
        return outcomes

    async def store_batch(self, stream: str, messages: Sequence[Outgoing]) -> Stored:
        """Store all messages in one commit (ADR-50); see Broker. Only the last answer is waited for."""
        batch, last = token_hex(11), len(messages)
        for at, message in enumerate(messages[:-1], start=1):
            headers = outgoing_headers(message) | {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(at)}
            await self.connection.publish(message.subject, message.body, headers)
        headers = outgoing_headers(messages[-1]) | {
            "Nats-Batch-Id": batch,
            "Nats-Batch-Sequence": str(last),
            "Nats-Batch-Commit": "1",
        }
        reply = await self.connection.request(messages[-1].subject, messages[-1].body, headers)
        return self._acked(reply, stream, messages[-1].subject)

    def _acked(self, reply: Msg, stream: str, subject: str) -> Stored:
        if status(reply) == "503":
            raise Unavailable(f"{self.region}: no stream takes {subject} here just now (expected {stream})")
        ack = decode_ack(reply.data)
        if ack.error is None:
            return Stored(ack.seq, ack.duplicate)
        if ack.error.err_code in _WRONG_SEQUENCE:
            raise Conflict(f"{subject}: {ack.error.description}")
        if ack.error.err_code == _DUPLICATE_IN_BATCH:
            raise Duplicate(f"{subject}: {ack.error.description}")
        raise refused(self.region, ack.error, f"{stream} did not take {subject}")

    async def last(self, stream: str, subject: str) -> Message | None:
        """The latest message, from the leader; see Broker."""
        return await self._get(stream, {"last_by_subj": subject})

    async def get(self, stream: str, sequence: int) -> Message | None:
        """The message at a sequence; see Broker."""
        return await self._get(stream, {"seq": sequence})

    async def _get(self, stream: str, asked: dict[str, object]) -> Message | None:
        reply = await self.connection.request(f"$JS.API.STREAM.MSG.GET.{stream}", msgspec.json.encode(asked))
        if status(reply) == "503":
            raise Unavailable(f"{self.region}: {stream} has no leader just now, or does not exist")
        got = decode_get(reply.data)
        if got.error is not None:
            if got.error.err_code in NOT_FOUND or got.error.code == 404:
                if got.error.err_code == 10059:
                    raise Unavailable(f"{self.region}: there is no stream {stream}: run `cartmesh mesh apply`")
                return None
            raise refused(self.region, got.error, f"cannot read {stream}")
        if got.message is None:
            return None
        found = got.message
        headers = parse_headers(base64.b64decode(found.hdrs))
        return Message(
            subject=found.subject,
            body=base64.b64decode(found.data),
            sequence=found.seq,
            stored=stored_at(headers, found.time),
            headers=headers,
        )

    async def remove(self, stream: str, sequence: int) -> None:
        """Remove a message; see Broker. The server fills its place in its file with random bytes."""
        asked = msgspec.json.encode({"seq": sequence, "no_erase": False})
        reply = await self.connection.request(f"$JS.API.STREAM.MSG.DELETE.{stream}", asked)
        if status(reply) == "503":
            raise Unavailable(f"{self.region}: {stream} has no leader just now, or does not exist")
        info = decode_info(reply.data)
        if info.error is not None and info.error.err_code not in NOT_FOUND and info.error.description not in _GONE:
            raise refused(self.region, info.error, f"cannot remove message {sequence} of {stream}")

    async def read(
        self, stream: str, patterns: Sequence[str], *, after: int = 0, since: datetime | None = None
    ) -> AsyncIterator[Message]:
        """Messages in order by batched direct get (ADR-31); see Broker."""
        heads: list[tuple[int, int, Message, AsyncIterator[Message]]] = []
        for at, pattern in enumerate(patterns):
            one = self._read_one(stream, pattern, after, since)
            async for first in one:
                heapq.heappush(heads, (first.sequence, at, first, one))
                break
        while heads:
            _, at, message, one = heapq.heappop(heads)
            yield message
            async for following in one:
                heapq.heappush(heads, (following.sequence, at, following, one))
                break

    async def read_few(self, stream: str, patterns: Sequence[str]) -> list[Message]:
        """Messages of few subjects by two kinds of direct get; see Broker.

        The newest of each subject comes first, all from one server at one moment, and then what stands before it: none
        where it was stored on condition that there was none.
        """
        newest = await self.last_of_each(stream, patterns)
        before = await asyncio.gather(*(self._up_to(stream, last) for last in newest))
        return sorted((message for part in before for message in part), key=lambda message: message.sequence)

    async def last_of_each(self, stream: str, subjects: Sequence[str]) -> list[Message]:
        """The newest of each subject by one direct get (ADR-31); see Broker."""
        newest: list[Message] = []
        await self._read_part(stream, {"multi_last": list(subjects), "batch": READ_BATCH}, newest)
        return newest

    async def _up_to(self, stream: str, last: Message) -> list[Message]:
        """All messages of one subject up to its `last`. A server that does not have that one yet is asked again."""
        if is_first(last):
            return [last]
        for turn in range(READS):
            found = [message async for message in self._read_one(stream, last.subject, 0)]
            if any(message.sequence >= last.sequence for message in found):
                return [message for message in found if message.sequence <= last.sequence]
            await asyncio.sleep(min(BEHIND * 2**turn, LONGEST))
        raise Unavailable(f"{self.region}: the servers that hold {stream} differ")

    async def _read_one(
        self, stream: str, pattern: str, after: int, since: datetime | None = None
    ) -> AsyncIterator[Message]:
        begin: dict[str, object] = {"seq": after + 1}
        if since is not None:  # times of messages are rounded here, up or down
            since -= _ROUNDING
            begin = {"start_time": since.isoformat()}
        while True:
            found: list[Message] = []
            asked = {**begin, "next_by_subj": pattern, "batch": READ_BATCH, "max_bytes": READ_BYTES}
            left = await self._read_part(stream, asked, found)
            for message in found:
                if since is None or message.stored >= since:
                    yield message
            if not left or not found:
                return
            begin = {"seq": found[-1].sequence + 1}

    async def _read_part(self, stream: str, asked: dict[str, object], found: list[Message]) -> int:
        left = 0

        def take(reply: Msg) -> bool:
            nonlocal left
            headers = reply.headers or {}
            code = status(reply)
            if code == "503":
                raise Unavailable(f"{self.region}: {stream} cannot be read just now, or does not exist")
            if code == "413":
                raise DeclarationError(f"{self.region}: {stream}: {asked} are too many subjects")
            if code is None and "Nats-Sequence" in headers:
                found.append(read_message(reply))
                return True
            left = int(headers.get("Nats-Num-Pending") or 0)
            return False

        await self.connection.stream(f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(asked), take)
        return left
