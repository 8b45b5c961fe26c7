"""The broker on NATS JetStream."""

import base64
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error
from nats.js.errors import BucketNotFoundError, NotFoundError, ObjectNotFoundError
from nats.js.errors import Error as JetStreamError

from mesh.broker import stream_information
from mesh.broker.connection import Connection, Login, status
from mesh.broker.protocol import ConsumerState, Entry, Expect, Message, Outgoing, Stored, StreamState
from mesh.broker.pull import Pull
from mesh.broker.wire import (
    Failure,
    Info,
    decode_ack,
    decode_get,
    decode_info,
    is_removed,
    outgoing_headers,
    parse_headers,
    read_message,
)
from mesh.errors import Conflict, DeclarationError, Duplicate, MeshError, Unavailable
from mesh.observability.logs import log
from mesh.streams import Bucket, ConsumerSpec, ObjectStore

READ_BATCH = 1000
_WRONG_SEQUENCE = {10071, 10164}
_DUPLICATE_IN_BATCH = 10201
_NOT_FOUND = {10037, 10043, 10059}


class JetStreamBroker:
    """One user's connection to one region's JetStream."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.region = connection.login.region

    @classmethod
    async def connect(
        cls,
        region: str,
        servers: Sequence[str],
        *,
        user: str | None = None,
        password: str | None = None,
        inbox_prefix: str = "_INBOX",
        name: str = "cartmesh",
    ) -> "JetStreamBroker":
        """Connect; raises Unavailable or Denied. Later losses of the connection are healed in the background."""
        login = Login(region=region, servers=tuple(servers), user=user, password=password, inbox_prefix=inbox_prefix)
        return cls(await Connection.open(login, name=name))

    @property
    def connected(self) -> bool:
        """Whether the connection stands right now."""
        return self.connection.client.is_connected

    # Storing

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
        raise self._refused(ack.error, f"{stream} did not take {subject}")

    def _refused(self, failure: Failure, what: str) -> MeshError:
        reason = f"{self.region}: {what}: {failure.description} ({failure.code}/{failure.err_code})"
        # 4xx that no retry can mend (bad headers, message too large); 429 and 5xx pass.
        return DeclarationError(reason) if failure.code == 400 else Unavailable(reason)

    # Reading

    async def last(self, stream: str, subject: str) -> Message | None:
        """The newest message, from the leader; see Broker."""
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
            if got.error.err_code in _NOT_FOUND or got.error.code == 404:
                if got.error.err_code == 10059:
                    raise Unavailable(f"{self.region}: there is no stream {stream}: run `cartmesh mesh apply`")
                return None
            raise self._refused(got.error, f"cannot read {stream}")
        if got.message is None:
            return None
        found = got.message
        return Message(
            subject=found.subject,
            body=base64.b64decode(found.data),
            sequence=found.seq,
            stored=found.time,
            headers=parse_headers(base64.b64decode(found.hdrs)),
        )

    async def read(self, stream: str, patterns: Sequence[str], *, after: int = 0) -> AsyncIterator[Message]:
        """Messages in order by batched direct get (ADR-31); see Broker."""
        heads: list[tuple[int, int, Message, AsyncIterator[Message]]] = []
        for at, pattern in enumerate(patterns):
            one = self._read_one(stream, pattern, after)
            async for first in one:
                heapq.heappush(heads, (first.sequence, at, first, one))
                break
        while heads:
            _, at, message, one = heapq.heappop(heads)
            yield message
            async for following in one:
                heapq.heappush(heads, (following.sequence, at, following, one))
                break

    async def _read_one(self, stream: str, pattern: str, after: int) -> AsyncIterator[Message]:
        while True:
            found: list[Message] = []
            asked = {"seq": after + 1, "next_by_subj": pattern, "batch": READ_BATCH}
            left = await self._read_part(stream, asked, found)
            for message in found:
                yield message
            if not left or not found:
                return
            after = found[-1].sequence

    async def _read_part(self, stream: str, asked: dict[str, object], found: list[Message]) -> int:
        left = 0

        def take(reply: Msg) -> bool:
            nonlocal left
            headers = reply.headers or {}
            code = status(reply)
            if code == "503":
                raise Unavailable(f"{self.region}: {stream} cannot be read just now, or does not exist")
            if code is None and "Nats-Sequence" in headers:
                found.append(read_message(reply))
                return True
            left = int(headers.get("Nats-Num-Pending") or 0)
            return False

        await self.connection.stream(f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(asked), take)
        return left

    # Consuming

    async def deliveries(self, consumer: ConsumerSpec) -> Pull:
        """Bind to a durable; see Broker."""
        return await Pull(self.connection, consumer.stream, consumer.durable).open()

    async def follow(self, stream: str, filters: tuple[str, ...], since: datetime | None) -> Pull:
        """A private consumer; see Broker."""
        start: dict[str, object] = {"deliver_policy": "new"}
        if since is not None:
            start = {"deliver_policy": "by_start_time", "opt_start_time": since.astimezone(UTC).isoformat()}
        pull, _ = await self._follow(stream, filters, start)
        return pull

    async def _follow(self, stream: str, filters: tuple[str, ...], start: dict[str, object]) -> tuple[Pull, int]:
        async def again() -> str:
            following = {"deliver_policy": "by_start_sequence", "opt_start_seq": pull.sequence + 1}
            return (await self._private_consumer(stream, filters, following if pull.sequence else start)).name

        info = await self._private_consumer(stream, filters, start)
        pull = Pull(self.connection, stream, info.name, lost=again)
        return await pull.open(), info.num_pending

    async def _private_consumer(self, stream: str, filters: tuple[str, ...], start: dict[str, object]) -> Info:
        name = f"private-{token_hex(8)}"
        config = {
            "name": name,
            "ack_policy": "none",
            "filter_subjects": list(filters),
            "inactive_threshold": 60_000_000_000,
            "mem_storage": True,
            "num_replicas": 1,
            **start,
        }
        asked = msgspec.json.encode({"stream_name": stream, "config": config})
        reply = await self.connection.request(f"$JS.API.CONSUMER.CREATE.{stream}.{name}", asked)
        if status(reply) == "503":
            raise Unavailable(f"{self.region}: {stream} has no leader just now, or does not exist")
        info = decode_info(reply.data)
        if info.error is not None:
            raise self._refused(info.error, f"cannot follow {stream}")
        return info

    # Counting

    async def stream_state(self, stream: str) -> StreamState:
        """What the leader says; see Broker."""
        return await stream_information.stream_state(self.connection, stream)

    async def consumer_states(self, stream: str, names: Sequence[str]) -> dict[str, ConsumerState]:
        """What the leaders say; see Broker."""
        return await stream_information.consumer_states(self.connection, stream, names)

    async def tally(self, stream: str, name: str, subject: str, keep: timedelta) -> None:
        """Count from now on; see Broker."""
        await stream_information.tally(self.connection, stream, name, subject, keep)

    async def untally(self, stream: str, name: str) -> None:
        """End a count; see Broker."""
        await stream_information.untally(self.connection, stream, name)

    async def count(self, stream: str, subject: str, since: datetime) -> int:
        """Count what is there; see Broker."""
        return await stream_information.count(self.connection, stream, subject, since)

    # Buckets

    async def kv_get(self, bucket: Bucket, key: str) -> Entry | None:
        """A key's value, from the leader; see Broker."""
        found = await self.last(f"KV_{bucket.name}", f"$KV.{bucket.name}.{key}")
        if found is None or is_removed(found.headers):
            return None
        return Entry(key, found.body, found.sequence)

    async def kv_put(self, bucket: Bucket, key: str, value: bytes, *, revision: int | None = None) -> int:
        """Set a key; see Broker."""
        subject = f"$KV.{bucket.name}.{key}"
        expect = None if revision is None else Expect(subject=subject, sequence=revision)
        message = Outgoing(subject=subject, body=value, expect=expect, ttl=bucket.ttl)
        try:
            return (await self.store(f"KV_{bucket.name}", message)).sequence
        except Conflict:
            # A removed key has a marker: absent for the reader, a revision for the server.
            marker = await self.last(f"KV_{bucket.name}", subject) if revision == 0 else None
            if marker is None or not is_removed(marker.headers):
                raise
        over = replace(message, expect=Expect(subject=subject, sequence=marker.sequence))
        return (await self.store(f"KV_{bucket.name}", over)).sequence

    async def kv_delete(self, bucket: Bucket, key: str) -> None:
        """Remove a key; see Broker."""
        marker = Outgoing(subject=f"$KV.{bucket.name}.{key}", body=b"", headers={"KV-Operation": "DEL"})
        await self.store(f"KV_{bucket.name}", marker)

    async def kv_erase(self, bucket: Bucket, key: str) -> bool:
        """Overwrite a value; see Broker. The server fills the message's place in its file with random bytes."""
        if not bucket.erasable:
            raise DeclarationError(f"bucket {bucket.name} is not erasable")
        found = await self.last(f"KV_{bucket.name}", f"$KV.{bucket.name}.{key}")
        if found is None:
            return False
        asked = msgspec.json.encode({"seq": found.sequence, "no_erase": False})
        reply = await self.connection.request(f"$JS.API.STREAM.MSG.DELETE.KV_{bucket.name}", asked)
        if status(reply) == "503":
            raise Unavailable(f"{self.region}: bucket {bucket.name} has no leader just now, or does not exist")
        info = decode_info(reply.data)
        if info.error is not None and info.error.err_code not in _NOT_FOUND:
            raise self._refused(info.error, f"cannot erase in bucket {bucket.name}")
        return not is_removed(found.headers)

    async def kv_entries(self, bucket: Bucket) -> AsyncIterator[Entry]:
        """Present keys; see Broker."""
        async with self.kv_watch(bucket) as entries:
            async for entry in entries:
                if entry is None:
                    return
                if entry.value is not None:
                    yield entry

    @asynccontextmanager
    async def kv_watch(self, bucket: Bucket) -> AsyncIterator[AsyncIterator[Entry | None]]:
        """Present entries, None, then changes; see Broker."""
        start: dict[str, object] = {"deliver_policy": "last_per_subject"}
        prefix = f"$KV.{bucket.name}."
        pull, present = await self._follow(f"KV_{bucket.name}", (f"{prefix}>",), start)

        async def entries() -> AsyncIterator[Entry | None]:
            left = present
            if not left:
                yield None
            while True:
                for message in await pull.fetch(256, 5.0):
                    removed = is_removed(message.headers)
                    if not removed or not left:
                        key = message.subject.removeprefix(prefix)
                        yield Entry(key, None if removed else message.body, message.sequence)
                    if left:
                        left -= 1
                        if not left:
                            yield None

        try:
            yield entries()
        finally:
            await pull.close()

    async def kv_purge(self, bucket: Bucket) -> None:
        """Empty a bucket; see Broker."""
        reply = await self.connection.request(f"$JS.API.STREAM.PURGE.KV_{bucket.name}", b"")
        info = decode_info(reply.data)
        if info.error is not None:
            raise self._refused(info.error, f"cannot empty bucket {bucket.name}")

    # Shelves

    async def object_put(self, object_store: ObjectStore, name: str, value: bytes) -> None:
        """Store an object; see Broker."""
        with _object_errors(self.region, object_store):
            store = await self.connection.client.jetstream().object_store(object_store.name)
            await store.put(name, value)

    async def object_get(self, object_store: ObjectStore, name: str) -> bytes | None:
        """An object, or None; see Broker."""
        with _object_errors(self.region, object_store):
            store = await self.connection.client.jetstream().object_store(object_store.name)
            try:
                return (await store.get(name)).data
            except ObjectNotFoundError:
                return None

    async def object_delete(self, object_store: ObjectStore, name: str) -> None:
        """Remove an object; see Broker."""
        with _object_errors(self.region, object_store):
            store = await self.connection.client.jetstream().object_store(object_store.name)
            with suppress(ObjectNotFoundError):
                await store.delete(name)

    async def object_names(self, object_store: ObjectStore) -> list[str]:
        """Names on a object store; see Broker."""
        with _object_errors(self.region, object_store):
            store = await self.connection.client.jetstream().object_store(object_store.name)
            try:
                return sorted(info.name for info in await store.list() if not info.deleted)
            except NotFoundError:
                return []

    # Asking and answering

    async def request(self, subject: str, body: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109  the protocol's word
        """Ask; see Broker."""
        reply = await self.connection.request(subject, body, wait=timeout)
        if status(reply) == "503":
            raise Unavailable(f"{self.region}: nobody answers {subject}")
        return reply.data

    async def serve(self, subject: str, group: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer; see Broker."""

        async def respond(message: Msg) -> None:
            try:
                await message.respond(await answer(message.data))
            except Exception:  # noqa: BLE001  the asker sees no answer, the log says why
                log.exception("answer failed", subject=subject)

        try:
            await self.connection.client.subscribe(subject, queue=group, cb=respond)
            await self.connection.settled()
        except (Error, OSError, TimeoutError) as error:
            raise Unavailable(f"{self.region}: cannot serve {subject}: {error or type(error).__name__}") from error

    async def drain(self) -> None:
        """Close; see Broker."""
        await self.connection.drain()


@contextmanager
def _object_errors(region: str, object_store: ObjectStore) -> Iterator[None]:
    try:
        yield
    except BucketNotFoundError as error:
        raise Unavailable(
            f"{region}: there is no object store {object_store.name}: run `cartmesh mesh apply`"
        ) from error
    except (JetStreamError, Error, OSError, TimeoutError) as error:
        raise Unavailable(f"{region}: object store {object_store.name}: {error or type(error).__name__}") from error
